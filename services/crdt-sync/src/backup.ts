import { parseHlc } from '@memplane/clock';
import { type CrdtExportLine, crdtExportLineSchema } from '@memplane/contracts';
import type { CounterState, ReplicaDelta } from '@memplane/crdt';
import { checkedExport, toMemplaneError, unusablePart } from '@memplane/runtime';
import { readCrdtSyncConfig } from './config.ts';
import { Engine } from './domain/engine.ts';
import { joinAll } from './domain/join-all.ts';
import { decodeKeptStates } from './domain/replication/states.ts';
import { openEmbeddedStorage } from './drivers/embedded-storage.ts';

/** Names that share the sync of a commit, and their bytes as they are exported. */
const JOINS_AT_ONCE_MAX = 256;
const JOIN_BYTES_AT_ONCE_MAX = 4 * 1024 * 1024;

/** What an export holds, to be put into an empty folder. */
export interface CrdtRestore {
  readonly dir: string;
  /** As {@link exportLines} gave them, parsed. */
  readonly lines: AsyncIterable<unknown>;
  /** The parts that counters derive from this log are left out: its successor derives them anew. */
  readonly withoutLog: string;
  /** How problems call it. */
  readonly name: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Fills the folder of a replica with what another one exported. Its values are joined in as those of
 * another replica would be; the next start takes an incarnation of its own, so that no dot and no
 * stamp comes twice.
 * @returns the number of names
 * @throws MemplaneError `storage_damaged` for lines that are no whole export, what the storage throws
 */
export async function restoreCrdts(restore: CrdtRestore): Promise<number> {
  const { dir, name, now } = restore;
  const config = readCrdtSyncConfig({ ...restore.env });
  const storage = await openEmbeddedStorage(config, { dir, now });
  const { store, executor } = storage;
  const opIds = { now, opid_memory_ms: config.opid_memory_ms };
  const engine = new Engine({ ...config, executor, opIds, toError: toMemplaneError });
  try {
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
  } finally {
    await store.close();
  }
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
