import { parseHlc } from '@memplane/clock';
import { type CrdtExportLine, crdtExportLineSchema } from '@memplane/contracts';
import type { CounterState, ReplicaDelta } from '@memplane/crdt';
import { checkedExport, createLogger, toMemplaneError, unusablePart } from '@memplane/runtime';
import { type CrdtSyncConfig, readCrdtSyncConfig } from './config.ts';
import { Engine } from './domain/engine.ts';
import { joinAll } from './domain/join-all.ts';
import { decodeKeptStates } from './domain/replication/states.ts';
import type { CrdtStorage } from './domain/storage.ts';
import { openEmbeddedStorage } from './drivers/embedded-storage.ts';

/** Names that share the sync of a commit, and their bytes as they are exported. */
const JOINS_AT_ONCE_MAX = 256;
const JOIN_BYTES_AT_ONCE_MAX = 4 * 1024 * 1024;

/** Where a replica is restored that has no values yet. */
export interface NewReplica {
  readonly config: CrdtSyncConfig;
  readonly storage: Pick<CrdtStorage, 'store' | 'executor'>;
}

export interface NewReplicaOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** @throws MemplaneError what opening the store throws */
export async function newReplicaFolder(
  dir: string,
  { env, now }: NewReplicaOptions,
): Promise<NewReplica> {
  const config = readCrdtSyncConfig({ ...env });
  return { config, storage: await openEmbeddedStorage(config, { dir, now }) };
}

/**
 * @param redisUrl of the Redis that the replica is to have as its own
 * @returns undefined where it has values already
 * @throws MemplaneError `storage_unavailable`
 */
export async function newReplicaRedis(
  redisUrl: string,
  { env, now }: NewReplicaOptions,
): Promise<NewReplica | undefined> {
  const config = readCrdtSyncConfig({ ...env, MEMPLANE_REDIS_URL: redisUrl });
  const logger = createLogger('crdt-sync', 'warn');
  // Only where it is asked for: whoever restores a folder needs no client of Redis.
  const { openRedisStorage } = await import('./drivers/redis/redis-storage.ts');
  const storage = await openRedisStorage({ ...config, redisUrl }, { now, logger });
  const values = await storage.store.digests({ after: undefined, limit: 1 });
  if (values.length === 0) return { config, storage };
  await storage.store.close();
  return undefined;
}

/** What an export holds, to be joined into a replica that is not used yet. */
export interface CrdtRestore {
  readonly replica: NewReplica;
  /** As {@link exportLines} gave them, parsed. */
  readonly lines: AsyncIterable<unknown>;
  /** The parts that counters derive from this log are left out: its successor derives them anew. */
  readonly withoutLog: string;
  /** How problems call it. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Joins into a replica what another one exported, as it would join another replica's values; the next
 * start takes an incarnation of its own, so that no dot and no stamp comes twice. Exports of several
 * replicas may follow each other.
 * @returns the number of names
 * @throws MemplaneError `storage_damaged` for lines that are no whole export, what the storage throws
 */
export async function restoreCrdts(restore: CrdtRestore): Promise<number> {
  const { name, now, replica } = restore;
  const { config, storage } = replica;
  const { store, executor } = storage;
  const opIds = { now, opid_memory_ms: config.opid_memory_ms };
  const engine = new Engine({ ...config, executor, opIds, toError: toMemplaneError });
  let count = 0;
  let head: Extract<CrdtExportLine, { format: 1 }> | undefined;
  const joining: Promise<void>[] = [];
  let bytes = 0;
  for await (const line of checkedLines(restore.lines, name)) {
    if ('format' in line) head = line;
    if (!('delta' in line)) continue;
    const joined = joinAll(engine, withoutLog(deltaOf(line.delta, name), restore.withoutLog));
    joined.catch(() => {}); // told by the wait for all of them
    joining.push(joined);
    count++;
    bytes += line.delta.length;
    if (joining.length < JOINS_AT_ONCE_MAX && bytes < JOIN_BYTES_AT_ONCE_MAX) continue;
    await Promise.all(joining.splice(0));
    bytes = 0;
  }
  await Promise.all(joining);
  await engine.drain();
  if (head === undefined) throw unusablePart(name, 'it has no head');
  const known = new Map(Object.entries(head.commits));
  const { incarnation } = engine;
  // Last, and only now: what is known must never be ahead of what is there.
  const hlc = parseHlc(head.hlc);
  await store.commit({ incarnation, number: undefined, hlc, changes: [], known });
  return count;
}

/** @throws MemplaneError `storage_damaged`, see `checkedExport` */
export function checkedLines(
  lines: AsyncIterable<unknown>,
  name: string,
): AsyncGenerator<CrdtExportLine> {
  const isItem = (line: CrdtExportLine) => 'delta' in line;
  return checkedExport(lines, name, { schema: crdtExportLineSchema, isItem, items: 'names' });
}

function deltaOf(base64: string, name: string): ReplicaDelta {
  try {
    return decodeKeptStates(Buffer.from(base64, 'base64'));
  } catch (error) {
    throw unusablePart(name, (error as Error).message, error);
  }
}

function withoutLog(delta: ReplicaDelta, logId: string): ReplicaDelta {
  const counters = new Map<string, CounterState>();
  for (const [key, counter] of delta.counters) {
    const isDerived = counter.parts?.logId === logId;
    const left = isDerived ? { ...counter, parts: undefined } : counter;
    const holds = left.parts !== undefined || left.kind !== undefined || left.entries.size > 0;
    if (holds) counters.set(key, left);
  }
  return { ...delta, counters };
}
