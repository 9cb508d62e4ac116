import { MemplaneError } from '@memplane/contracts';
import {
  decodeFlag,
  decodeMap,
  decodeRegister,
  encodeJson,
  placeKeys,
  readRegister,
} from '@memplane/crdt';
import type { ApplyLimits } from '../../domain/apply.ts';
import { type Command, isRead } from '../../domain/command.ts';
import type { Ref } from '../../domain/port.ts';
import type { CommitVector } from '../../domain/session-token.ts';
import type { Reply } from './connection.ts';
import { Increments } from './increments.ts';
import { placesWord } from './place.ts';
import { damaged } from './redis-records.ts';
import { refusal } from './refusal.ts';

/** What a function is told before its commands. */
export interface CallHeader extends ApplyLimits {
  /** 32 hex digits. */
  readonly incarnation: string;
  readonly replicaId: string;
  /** The stamp of the instance's physical clock, 16 hex digits. */
  readonly now: string;
  /** Whether what the commands change is to be told. */
  readonly tells: boolean;
  /** Of other incarnations, up to which commit all is there. */
  readonly raised: CommitVector;
}

export type Word = string | Buffer;

/** The names that a call is about, each once. */
export class CallNames {
  readonly words: string[] = [];
  readonly #places = new Map<string, number>();
  /** Often the same name comes again. */
  #lastTenant = '';
  #lastName = '';
  #lastPlace = '';

  /** @returns its place, from 1 */
  placeOf(tenant: string, name: string): string {
    if (name === this.#lastName && tenant === this.#lastTenant) return this.#lastPlace;
    const key = `${tenant}\0${name}`;
    let place = this.#places.get(key);
    if (place === undefined) {
      place = this.#places.size + 1;
      this.#places.set(key, place);
      this.words.push(tenant, name);
    }
    this.#lastTenant = tenant;
    this.#lastName = name;
    this.#lastPlace = String(place);
    return this.#lastPlace;
  }

  /** What has a place. */
  at(place: number): Ref {
    const [tenant, name] = this.words.slice(place * 2 - 2, place * 2);
    if (tenant === undefined || name === undefined) throw damaged('an answer');
    return { tenant, name };
  }

  get size(): number {
    return this.#places.size;
  }
}

export function headerWords(header: CallHeader, names: CallNames): string[] {
  const { incarnation, replicaId, now, set_elements_max, set_bytes_max, map_bytes_max } = header;
  const { op_ids_per_counter_max, contested_ids_per_counter_max, tells, raised } = header;
  const sets = [set_elements_max, set_bytes_max, map_bytes_max];
  const limits = [...sets, op_ids_per_counter_max, contested_ids_per_counter_max].map(String);
  const words = [incarnation, replicaId, now, ...limits, tells ? '1' : '0'];
  return [...words, ...vectorWords(raised), String(names.size), ...names.words];
}

export function vectorWords(vector: CommitVector): string[] {
  return [String(vector.size), ...[...vector].flat().map(String)];
}

function placeWords({ place }: Command): readonly string[] {
  if (place === undefined) throw new MemplaneError('internal', 'A change without its place.');
  const keys = placeKeys(place);
  return [String(keys.length), ...keys];
}

/** What the store does; scans and probes it does not. */
export function isStored({ type }: Command): boolean {
  return type !== 'scan' && type !== 'probe';
}

/** What is told and answered as one. */
export type Told = Command | Increments;

/** The arguments of one call of `execute` or `read`, which answers to each of `told`. */
export function executeWords(
  header: CallHeader,
  commands: readonly Command[],
  mustWrite: boolean,
): { readonly words: Word[]; readonly names: CallNames; readonly told: readonly Told[] } {
  const names = new CallNames();
  const places: string[] = [];
  const told: Told[] = [];
  const open = new Map<string, Increments>();
  for (const command of commands) {
    const place = names.placeOf(command.tenant, command.name);
    const canHold = Increments.canHold(command);
    if (canHold && open.get(place)?.add(command)) continue;
    places.push(place);
    if (canHold) {
      const increments = new Increments(command);
      open.set(place, increments);
      told.push(increments);
    } else {
      open.delete(place);
      told.push(command);
    }
  }
  const words = [...headerWords(header, names), mustWrite ? '1' : '0', String(told.length)];
  const body = told.flatMap((one, index): Word[] => {
    const args = one instanceof Increments ? one.words() : wordsOf(one);
    const type = one instanceof Increments ? 'increments' : one.type;
    return [type, places[index] ?? '', String(args.length), ...args];
  });
  return { words: [...words, ...body], names, told };
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
      return [String(command.elements.length), ...command.elements, placesWord(command.elements)];
    case 'flag-vote':
      return [String(command.version)];
    case 'register-put':
      return [Buffer.from(encodeJson(command.value))];
    case 'map-increment':
      return [String(command.by), ...placeWords(command)];
    case 'map-write':
      return [Buffer.from(encodeJson(command.value)), ...placeWords(command)];
    case 'map-add':
    case 'map-remove':
      return placeWords(command);
    default:
      return [];
  }
}

/** As few parts as keep each below the bound; one at least. */
export function inParts<T>(work: readonly T[], weigh: (one: T) => number, max: number): T[][] {
  const parts: T[][] = [[]];
  let sum = 0;
  for (const one of work) {
    const weight = Math.max(1, weigh(one));
    if (sum > 0 && sum + weight > max) {
      parts.push([]);
      sum = 0;
    }
    parts.at(-1)?.push(one);
    sum += weight;
  }
  return parts;
}

export function areReads(commands: readonly Command[]): boolean {
  return commands.every(isRead);
}

/** Writes what a function answered into the command. */
export function settle(command: Command, reply: Reply | undefined, limits: ApplyLimits): void {
  const { outcome } = command;
  if (typeof reply === 'string' && command.type === 'join') outcome.flag ||= reply === '1';
  else if (typeof reply === 'string') outcome.number = Number(reply);
  else if (Buffer.isBuffer(reply) && command.type === 'map-get') outcome.value = decodeMap(reply);
  else if (Buffer.isBuffer(reply)) outcome.value = winnerOf(reply, command);
  else if (Array.isArray(reply)) {
    const [first, detail] = reply;
    if (typeof first === 'string') {
      outcome.number = Number(first);
      if (Buffer.isBuffer(detail)) outcome.value = decodeFlag(detail);
      else outcome.flag = true;
    } else command.error = refusal(String(first), String(detail), command, limits);
  } else if (reply !== null) throw damaged('an answer');
}

/** As a register's, or, without the dot that nobody asks for, as a map's field. */
function winnerOf(reply: Buffer, { type }: Command): unknown {
  const version = readRegister(decodeRegister(reply));
  if (type !== 'map-write' || version === undefined) return version;
  const { hlc, replica, value } = version;
  return { hlc, replica, value };
}
