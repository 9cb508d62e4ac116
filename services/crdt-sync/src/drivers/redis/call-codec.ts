import { MemplaneError } from '@memplane/contracts';
import { decodeRegister, encodeJson, readRegister } from '@memplane/crdt';
import { type Command, isRead } from '../../domain/command.ts';
import * as refusals from '../../domain/refusals.ts';
import type { Reply } from './connection.ts';
import { damaged } from './redis-records.ts';

/** What a function is told before its commands. */
export interface CallHeader {
  /** 32 hex digits. */
  readonly incarnation: string;
  readonly replicaId: string;
  /** The stamp of the instance's physical clock, 16 hex digits. */
  readonly now: string;
  readonly set_elements_max: number;
  readonly set_bytes_max: number;
  readonly opIdsMax: number;
}

type Word = string | Buffer;

/** The names that a call is about, each once. */
export class CallNames {
  readonly words: string[] = [];
  readonly #places = new Map<string, number>();

  /** @returns its place, from 1 */
  placeOf(tenant: string, name: string): string {
    const key = `${tenant}\0${name}`;
    let place = this.#places.get(key);
    if (place === undefined) {
      place = this.#places.size + 1;
      this.#places.set(key, place);
      this.words.push(tenant, name);
    }
    return String(place);
  }

  get size(): number {
    return this.#places.size;
  }
}

export function headerWords(header: CallHeader, names: CallNames): string[] {
  const { incarnation, replicaId, now, set_elements_max, set_bytes_max, opIdsMax } = header;
  const limits = [set_elements_max, set_bytes_max, opIdsMax].map(String);
  return [incarnation, replicaId, now, ...limits, String(names.size), ...names.words];
}

/** What the store does; scans and probes it does not. */
export function isStored({ type }: Command): boolean {
  return type !== 'scan' && type !== 'probe';
}

/** The arguments of one call of `execute` or `read`. */
export function executeWords(
  header: CallHeader,
  commands: readonly Command[],
  mustWrite: boolean,
): Word[] {
  const names = new CallNames();
  const body: Word[] = [];
  for (const command of commands) {
    const words = wordsOf(command);
    const place = names.placeOf(command.tenant, command.name);
    body.push(command.type, place, String(words.length), ...words);
  }
  const count = String(commands.length);
  return [...headerWords(header, names), mustWrite ? '1' : '0', count, ...body];
}

function wordsOf(command: Command): readonly Word[] {
  switch (command.type) {
    case 'increment':
      return [String(command.by), command.kind ?? '', command.opId ?? ''];
    case 'part-put': {
      const { part } = command;
      if (part === undefined) throw new MemplaneError('internal', 'A part without its values.');
      const { partition, logId, epoch, offset, value, replaceLog } = part;
      const numbers = [epoch, offset, value].map(String);
      return [String(partition), logId, ...numbers, replaceLog ? '1' : '0'];
    }
    case 'set-add':
    case 'set-remove':
    case 'set-has':
      return [String(command.elements.length), ...command.elements];
    case 'register-put':
      return [Buffer.from(encodeJson(command.value))];
    default:
      return [];
  }
}

export function areReads(commands: readonly Command[]): boolean {
  return commands.every(isRead);
}

/** Writes what a function answered into the command. */
export function settle(command: Command, reply: Reply | undefined, header: CallHeader): void {
  const { outcome } = command;
  if (typeof reply === 'string') outcome.number = Number(reply);
  else if (Buffer.isBuffer(reply)) outcome.value = readRegister(decodeRegister(reply));
  else if (Array.isArray(reply)) {
    const [first, detail] = reply;
    if (typeof first === 'string') {
      outcome.number = Number(first);
      outcome.flag = true;
    } else command.error = refusal(String(first), String(detail), command, header);
  } else if (reply !== null) throw damaged('an answer');
}

function refusal(
  code: string,
  detail: string,
  command: Command,
  header: CallHeader,
): MemplaneError {
  switch (code) {
    case 'counter_overflow':
      return detail === 'by' ? refusals.incrementOverflow() : refusals.mergedOverflow();
    case 'id_reused':
      return refusals.idReused();
    case 'token_of_another_log':
      return refusals.otherLog(detail);
    case 'body_too_large':
      return refusals.setTooLarge(header);
    case 'wrong_type':
      return refusals.wrongType(detail, typeOf(command));
    case 'wrong_kind':
      return refusals.wrongKind(detail);
    case 'only_grows':
      return refusals.onlyGrows();
    case 'storage_damaged':
      return damaged(detail);
    default:
      return new MemplaneError('internal', `Redis answered ${code}.`);
  }
}

function typeOf({ type }: Command): string {
  if (type.startsWith('set')) return 'set';
  return type.startsWith('register') ? 'register' : 'counter';
}
