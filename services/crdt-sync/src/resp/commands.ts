import {
  type MemplaneError,
  NAME_PATTERN,
  OP_ID_BYTES_MAX,
  REGISTER_VALUE_BYTES_MAX,
  SET_ELEMENT_BYTES_MAX,
} from '@memplane/contracts';
import type { Json, RegisterVersion } from '@memplane/crdt';
import type { MembersView } from '../domain/cluster/members-view.ts';
import type { Command, CommandType } from '../domain/command.ts';
import type { CrdtStore } from '../domain/port.ts';
import { RespCommand, renderNumber, WHOLE_SET_WEIGHT, weightOf } from './resp-command.ts';
import * as write from './writer.ts';

/** What a connection's command becomes: an answer at once, or a command for the engine. */
export type Planned =
  | { readonly reply: string }
  | { readonly command: RespCommand; readonly before?: RespCommand };

export interface PlanContext {
  readonly tenant: string;
  readonly version: write.RespVersion;
  readonly store: CrdtStore;
  readonly set_elements_max: number;
  readonly membersView: () => MembersView;
  readonly settled: (command: Command) => void;
  /** Covers all that reads may have shown until the call. */
  readonly sessionToken: () => Promise<string>;
}

export const NAME_FAILURE = write.failure('ERR a name is 1 to 128 of A-Z a-z 0-9 . _ ~ : @ -');

/** Of a session with hundreds of starts of replicas in it. */
const TOKEN_BYTES_MAX = 16 * 1024;

type Plan = (args: readonly string[], context: PlanContext) => Planned;

const PLANS: Readonly<Record<string, { readonly min: number; readonly max: number; plan: Plan }>> =
  {
    'CRDT.INCR': { min: 2, max: 4, plan: (args, context) => planIncrement(args, context, 1) },
    'CRDT.DECR': { min: 2, max: 4, plan: (args, context) => planIncrement(args, context, -1) },
    'CRDT.GET': { min: 1, max: 1, plan: planGet },
    'CRDT.SADD': { min: 2, max: 65_536, plan: planElements('set-add') },
    'CRDT.SREM': { min: 2, max: 65_536, plan: planElements('set-remove') },
    'CRDT.SISMEMBER': { min: 2, max: 2, plan: planElements('set-has') },
    'CRDT.SMEMBERS': { min: 1, max: 1, plan: planMembers },
    'CRDT.SET': { min: 2, max: 2, plan: planWrite },
    'CRDT.READ': { min: 1, max: 1, plan: planRead },
    'CRDT.TOKEN': { min: 0, max: 0, plan: planToken },
    'CRDT.DEL': { min: 1, max: 1, plan: planDelete },
    'CRDT.MEMBERS': { min: 0, max: 0, plan: planReplicas },
  };

/** @returns undefined for a command that is not about CRDTs */
export function planCommand(words: readonly string[], context: PlanContext): Planned | undefined {
  const name = (words[0] ?? '').toUpperCase();
  const known = Object.hasOwn(PLANS, name) ? PLANS[name] : undefined;
  if (known === undefined) return undefined;
  const args = words.slice(1);
  if (args.length < known.min || args.length > known.max) {
    return { reply: write.wrongArguments(name) };
  }
  if (known.min > 0 && !NAME_PATTERN.test(args[0] ?? '')) {
    return { reply: NAME_FAILURE };
  }
  return known.plan(args, context);
}

/** Redis's words for a typed error. */
export function errorReply(error: MemplaneError): string {
  if (error.code === 'wrong_type') {
    return write.failure('WRONGTYPE Operation against a key holding the wrong kind of value');
  }
  if (error.code === 'overloaded') {
    const { retryAfterMs } = error;
    const hint = retryAfterMs === undefined ? '' : ` Come again in ${retryAfterMs} ms.`;
    return write.failure(`BUSY ${error.message}${hint}`);
  }
  return write.failure(`ERR ${error.code} ${error.message}`);
}

function engineCommand(
  type: CommandType,
  args: readonly string[],
  context: PlanContext,
  render: (command: Command) => string,
  fill?: (command: RespCommand) => void,
): Planned {
  const command = new RespCommand(type, context.tenant, args[0] ?? '', context.settled);
  command.render = render;
  fill?.(command);
  return { command };
}

function planIncrement(args: readonly string[], context: PlanContext, sign: 1 | -1): Planned {
  const text = args[1] ?? '';
  const by = Number(text);
  if (!/^-?\d{1,16}$/.test(text) || !Number.isSafeInteger(by)) {
    return { reply: write.failure('ERR value is not an integer or out of range') };
  }
  if (args.length === 3 || (args.length === 4 && args[2]?.toUpperCase() !== 'OPID')) {
    return { reply: write.failure('ERR syntax error; key n [OPID id]') };
  }
  const opId = args[3];
  if (opId !== undefined && (opId === '' || Buffer.byteLength(opId) > OP_ID_BYTES_MAX)) {
    return { reply: write.failure(`ERR an operation id has 1 to ${OP_ID_BYTES_MAX} bytes`) };
  }
  return engineCommand('increment', args, context, renderNumber, (command) => {
    command.by = by * sign;
    command.opId = opId;
  });
}

function planGet(args: readonly string[], context: PlanContext): Planned {
  return engineCommand('counter-get', args, context, renderNumber);
}

function planElements(type: 'set-add' | 'set-remove' | 'set-has'): Plan {
  return (args, context) => {
    const elements = args.slice(1);
    if (elements.some((element) => Buffer.byteLength(element) > SET_ELEMENT_BYTES_MAX)) {
      return { reply: write.failure(`ERR an element has at most ${SET_ELEMENT_BYTES_MAX} bytes`) };
    }
    return engineCommand(type, args, context, renderNumber, (command) => {
      command.elements = elements;
    });
  };
}

function planMembers(args: readonly string[], context: PlanContext): Planned {
  const ref = { tenant: context.tenant, name: args[0] ?? '' };
  const render = ({ outcome }: Command) =>
    write.setReply(context.version, outcome.value as readonly string[]);
  const planned = engineCommand('scan', args, context, render, (command) => {
    command.scan = () =>
      context.store.elements(ref, { after: undefined, limit: context.set_elements_max });
  });
  // Goes first, to find a name that holds another type.
  const before = new RespCommand('set-get', context.tenant, ref.name, () => {});
  if (!('command' in planned)) return planned;
  planned.command.weight = WHOLE_SET_WEIGHT;
  return { ...planned, before };
}

function planWrite(args: readonly string[], context: PlanContext): Planned {
  if (Buffer.byteLength(JSON.stringify(args[1])) > REGISTER_VALUE_BYTES_MAX) {
    return { reply: write.failure(`ERR a value has at most ${REGISTER_VALUE_BYTES_MAX} bytes`) };
  }
  return engineCommand(
    'register-put',
    args,
    context,
    () => write.simple('OK'),
    (command) => {
      command.value = args[1] ?? '';
    },
  );
}

function planRead(args: readonly string[], context: PlanContext): Planned {
  const render = ({ outcome }: Command) => {
    if (outcome.value === undefined) return write.nothing(context.version);
    const { value } = outcome.value as RegisterVersion;
    return write.bulk(textOf(value));
  };
  const weight = weightOf(REGISTER_VALUE_BYTES_MAX);
  return engineCommand('register-get', args, context, render, (command) => {
    command.weight = weight;
  });
}

function planDelete(args: readonly string[], context: PlanContext): Planned {
  return engineCommand('reset-any', args, context, renderNumber);
}

/** Written in its turn, so that it covers the connection's commands before it. */
function planToken(args: readonly string[], context: PlanContext): Planned {
  const render = ({ outcome }: Command) => write.bulk(String(outcome.value));
  return engineCommand('scan', args, context, render, (command) => {
    command.scan = () => context.sessionToken();
    command.weight = weightOf(TOKEN_BYTES_MAX);
  });
}

/** As `GET /v1/members` has it, with 1 and 0 for true and false. */
function planReplicas(_: readonly string[], { version, membersView }: PlanContext): Planned {
  const replyOf = (value: unknown) =>
    typeof value === 'string' ? write.bulk(value) : write.integerReply(Number(value));
  const mapOf = (facts: object) =>
    write.map(
      version,
      Object.entries(facts).map(([name, value]) => [write.bulk(name), replyOf(value)]),
    );
  const { viewVersion, quorum, members } = membersView();
  const reply = write.map(version, [
    [write.bulk('viewVersion'), write.integerReply(viewVersion)],
    [write.bulk('quorum'), write.integerReply(quorum)],
    [write.bulk('members'), write.array(members.map(mapOf))],
  ]);
  return { reply };
}

/** Texts as they are, other JSON values as JSON. */
function textOf(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
