import type { MemplaneError } from '@memplane/contracts';
import type {
  CommitRange,
  CounterKind,
  CounterState,
  FlagState,
  Incarnation,
  Json,
  LogPart,
  MapPlace,
  OrMapState,
  RegisterState,
  SetDelta,
} from '@memplane/crdt';
import type { KeptType } from './port.ts';
import type { Slot } from './slot.ts';

/** What a command does; the handlers are in `apply.ts`. */
export type CommandType =
  | 'increment'
  | 'counter-get'
  | 'counter-reset'
  | 'part-put'
  | 'set-add'
  | 'set-remove'
  | 'set-has'
  | 'set-get'
  | 'set-reset'
  | 'register-put'
  | 'register-get'
  | 'register-reset'
  | 'map-increment'
  /** An element to a set that is a field of a map. */
  | 'map-add'
  /** Of a field with all that is in it, or of an element. */
  | 'map-remove'
  | 'map-write'
  | 'map-get'
  | 'map-reset'
  | 'reset-any'
  /** This replica votes, under the voter set's version in `version`. */
  | 'flag-vote'
  | 'flag-get'
  /** Takes in what another replica has changed; see `named-delta.ts`. */
  | 'join'
  /** Drops a damaged value, of the type in `discards`: others have it, and it is joined anew. */
  | 'discard'
  /** Writes, if the last commit failed, so that a replica without traffic recovers too. */
  | 'probe'
  | 'scan';

/** A part of a log-derived counter, as the materializer sends it. */
export interface PartUpdate extends LogPart {
  readonly partition: number;
  readonly logId: string;
  /** An operator moves the counter to this log. */
  readonly replaceLog: boolean;
}

/** What another replica changed under one name. */
export interface Join {
  readonly counter: CounterState | undefined;
  readonly set: SetDelta | undefined;
  readonly register: RegisterState | undefined;
  readonly flag?: FlagState | undefined;
  readonly map?: OrMapState | undefined;
}

/** Commits of another replica that are all here once the joins of their delta are. */
export interface Brought {
  readonly ranges: readonly CommitRange[];
  /** One of the joins has failed. */
  isFailed: boolean;
}

/** One commit of a replica's own making. */
export interface CommitId {
  readonly incarnation: Incarnation;
  readonly number: number;
}

/** What was done, once durable. `number` and `flag` mean what the command type says. */
export interface Outcome {
  /** The counter's value; for sets how many elements were added, removed or found; for a reset or vote 1 or 0. */
  number: number;
  /**
   * An increment that was counted before; a part that was newer; a counter that exists; a join that
   * brought news.
   */
  flag: boolean;
  value: unknown;
}

/**
 * One request to the engine, of either protocol. A class with all fields set at once, since several
 * hundred thousand of them pass each second: one shape keeps the engine's code fast.
 */
export class Command {
  readonly type: CommandType;
  readonly tenant: string;
  readonly name: string;
  by = 0;
  opId: string | undefined = undefined;
  kind: CounterKind | undefined = undefined;
  elements: readonly string[] = [];
  value: Json = null;
  version = 0;
  /** Of a change of a map. */
  place: MapPlace | undefined = undefined;
  part: PartUpdate | undefined = undefined;
  join: Join | undefined = undefined;
  /** Of the last join of a delta. */
  brought: Brought | undefined = undefined;
  discards: KeptType | undefined = undefined;
  /** For `scan`: runs between two commits; it must fix what it reads before it first waits. */
  scan: (() => Promise<unknown>) | undefined = undefined;

  /** The engine's, while the command is in a batch. */
  slot: Slot | undefined = undefined;
  readonly outcome: Outcome = { number: 0, flag: false, value: undefined };
  /** Of a mutation, where it is known: the commit of its batch. It may have changed nothing in it. */
  commit: CommitId | undefined = undefined;
  error: MemplaneError | undefined = undefined;
  /** Called exactly once, when the outcome is durable or the error is there. */
  readonly settled: (command: Command) => void;

  constructor(
    type: CommandType,
    tenant: string,
    name: string,
    settled: (command: Command) => void,
  ) {
    this.type = type;
    this.tenant = tenant;
    this.name = name;
    this.settled = settled;
  }
}

const READS: ReadonlySet<CommandType> = new Set([
  'counter-get',
  'set-has',
  'set-get',
  'register-get',
  'flag-get',
  'map-get',
  'scan',
]);

export function isRead(command: Command): boolean {
  return READS.has(command.type);
}

/**
 * The commit that has what a settled mutation changed. Undefined where it changed nothing, since all
 * was there already: with which commit that came is not remembered, and it may be another replica's.
 */
export function commitOf({ type, outcome, commit }: Command): CommitId | undefined {
  switch (type) {
    case 'increment':
      return outcome.flag ? undefined : commit;
    case 'part-put':
      return outcome.flag ? commit : undefined;
    case 'set-add':
    case 'register-put':
    case 'map-increment':
    case 'map-add':
    case 'map-write':
      return commit;
    default:
      return outcome.number > 0 ? commit : undefined;
  }
}

/** Of the deltas whose last join is in the batch; none where any of its joins is refused. */
export function broughtBy(batch: readonly Command[]): CommitRange[] {
  if (batch.some(({ error }) => error !== undefined)) return [];
  return batch.flatMap(({ brought }) => (brought && !brought.isFailed ? brought.ranges : []));
}
