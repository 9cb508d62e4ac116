import { compareText } from './dot.ts';

/** What an operation id was used for. */
export interface OpRecord {
  readonly by: number;
  /** When, as a hybrid logical stamp. */
  readonly hlc: bigint;
}

/**
 * The operation ids that a counter still knows, so that a repeated increment is not counted twice.
 * Bounded: of all records, the `capacity` newest by (stamp, id) stay. Keeping the newest of a union
 * is commutative, associative and idempotent, so memories of several replicas join.
 */
export interface OpMemory {
  readonly capacity: number;
  readonly records: Map<string, OpRecord>;
}

export function emptyOpMemory(capacity: number): OpMemory {
  return { capacity, records: new Map() };
}

/** Joins `source` into `target` in place; both must have the same capacity. */
export function joinOpMemoryInto(target: OpMemory, source: OpMemory): boolean {
  const offered: string[] = [];
  for (const [opId, theirs] of source.records) {
    const mine = target.records.get(opId);
    if (mine !== undefined && compareRecords(mine, theirs) >= 0) continue;
    target.records.set(opId, theirs);
    offered.push(opId);
  }
  const dropped = new Set(dropOldest(target));
  return offered.some((opId) => !dropped.has(opId));
}

export function joinOpMemories(a: OpMemory, b: OpMemory): OpMemory {
  const joined = { capacity: a.capacity, records: new Map(a.records) };
  joinOpMemoryInto(joined, b);
  return joined;
}

export function* decomposeOpMemory(memory: OpMemory): Generator<OpMemory> {
  for (const record of memory.records) {
    yield { capacity: memory.capacity, records: new Map([record]) };
  }
}

/** Newest last. */
export function sortedRecords(memory: OpMemory): [string, OpRecord][] {
  return [...memory.records].sort(
    (a, b) => compareStamps(a[1].hlc, b[1].hlc) || compareText(a[0], b[0]),
  );
}

function dropOldest(memory: OpMemory): string[] {
  const excess = memory.records.size - memory.capacity;
  if (excess <= 0) return [];
  const oldest = sortedRecords(memory)
    .slice(0, excess)
    .map(([opId]) => opId);
  for (const opId of oldest) memory.records.delete(opId);
  return oldest;
}

function compareRecords(a: OpRecord, b: OpRecord): number {
  return compareStamps(a.hlc, b.hlc) || a.by - b.by;
}

function compareStamps(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
