import { MemplaneError } from '@memplane/contracts';
import { FIRST_VERSION, majorityOf, type ReplicaSet } from './replica-set.ts';

/** The key of the record in the strong store. */
export const REPLICA_SET_KEY = 'default.replica-set';

const FORMAT_VERSION = 1;
/** Quorums ask each of them, and each keeps something of each other. */
export const REPLICAS_MAX = 64;

/** The replica set as the strong store has it. */
export interface ReplicaSetRecord extends ReplicaSet {
  /** Of the write that made this version: only that one has it. */
  readonly nonce: string;
  /** While the last change is not settled. */
  readonly change?: ReplicaSetChange;
}

/** A change is settled, and the next may begin, once a majority of the new set has confirmed it. */
export interface ReplicaSetChange {
  /** The set of the version before. */
  readonly from: readonly string[];
  /** Who of the new set has all that a majority of the set before had when it knew of the change. */
  readonly confirmed: readonly string[];
}

export function isSettled({ change }: ReplicaSetRecord): boolean {
  return change === undefined;
}

export function firstRecord(proposal: readonly string[], nonce: string): ReplicaSetRecord {
  return { version: FIRST_VERSION, replicas: ordered(proposal), nonce };
}

/** @throws MemplaneError `overloaded` beyond {@link REPLICAS_MAX} */
export function withReplica(
  { replicas, version }: ReplicaSetRecord,
  id: string,
  nonce: string,
): ReplicaSetRecord {
  if (replicas.length >= REPLICAS_MAX) {
    throw new MemplaneError('overloaded', `A replica set has at most ${REPLICAS_MAX} replicas.`, {
      extra: { limit: 'replicas_max', max: REPLICAS_MAX },
    });
  }
  const change = { from: replicas, confirmed: [] };
  return { version: version + 1, replicas: ordered([...replicas, id]), nonce, change };
}

/** @throws MemplaneError `invalid_request` for the last one */
export function withoutReplica(
  { replicas, version }: ReplicaSetRecord,
  id: string,
  nonce: string,
): ReplicaSetRecord {
  if (replicas.length === 1) {
    throw new MemplaneError('invalid_request', `${id} is the last of the replica set.`, {
      field: 'path.replica',
    });
  }
  const change = { from: replicas, confirmed: [] };
  return { version: version + 1, replicas: replicas.filter((it) => it !== id), nonce, change };
}

/** One more has confirmed the change; a majority settles it. */
export function confirmedBy(record: ReplicaSetRecord, id: string): ReplicaSetRecord {
  const { change, ...settled } = record;
  if (change === undefined || !record.replicas.includes(id)) return record;
  const confirmed = ordered([...change.confirmed, id]);
  if (confirmed.length >= majorityOf(record.replicas)) return settled;
  return { ...settled, change: { ...change, confirmed } };
}

/** Whether a replica has to confirm the change, and has not yet. */
export function isAwaited({ change, replicas }: ReplicaSetRecord, id: string): boolean {
  return change !== undefined && replicas.includes(id) && !change.confirmed.includes(id);
}

export function encodeReplicaSet(record: ReplicaSetRecord): string {
  return JSON.stringify({ format: FORMAT_VERSION, ...record });
}

/** @throws MemplaneError `storage_damaged` for what {@link encodeReplicaSet} did not write */
export function decodeReplicaSet(text: string): ReplicaSetRecord {
  let found: { format?: unknown } & Partial<ReplicaSetRecord>;
  try {
    found = JSON.parse(text) as typeof found;
  } catch (cause) {
    throw new MemplaneError('storage_damaged', 'The record of the replica set.', { cause });
  }
  const { format, ...record } = found;
  if (
    format === FORMAT_VERSION &&
    Number.isSafeInteger(record.version) &&
    record.replicas?.length
  ) {
    return record as ReplicaSetRecord;
  }
  throw new MemplaneError('storage_damaged', `The record of the replica set has format ${format}.`);
}

function ordered(ids: readonly string[]): string[] {
  return [...new Set(ids)].sort();
}
