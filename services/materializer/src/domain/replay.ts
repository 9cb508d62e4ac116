import type { Json, ReplayProjection } from '@memplane/contracts';
import { type EntityState, emptyState, evolve, type LogEvent, type MemoryView } from './state.ts';

/** A fold over the events of one entity. */
export interface EntityFold {
  apply(event: LogEvent): void;
  /** @param timeMs when `ttl` is judged; absent: everything that was not forgotten */
  result(timeMs?: number): Json;
}

export interface Projection {
  readonly name: ReplayProjection;
  begin(): EntityFold;
  /** Adds a result to sums over all entities; absent where there is nothing to add up. */
  readonly sum?: (totals: Map<string, number>, result: Json) => void;
}

/** Judges whether a memory version is live at a time; a parameter, so that folds stay pure. */
export type Alive = (memories: Iterable<MemoryView>, timeMs: number) => MemoryView[];

export function projectionOf(name: ReplayProjection, alive: Alive): Projection {
  if (name === 'view') return { name, begin: () => viewFold(alive) };
  return { name, begin: countsFold, sum: addCounts };
}

function viewFold(alive: Alive): EntityFold {
  const state: EntityState = emptyState();
  return {
    apply: (event) => evolve(state, event),
    result(timeMs) {
      const all = [...state.memories.values()];
      const memories = timeMs === undefined ? all : alive(all, timeMs);
      return viewResult(state.attributes, memories, state.sequence);
    },
  };
}

/** The essence of a view, in one form for the replayed and the live one. */
export function viewResult(
  attributes: { [key: string]: Json },
  memories: readonly MemoryView[],
  sequence: number,
): Json {
  return { attributes, memories: memories as unknown as Json[], sequence };
}

function countsFold(): EntityFold {
  const counts = new Map<string, number>();
  return {
    apply: ({ event }) => {
      counts.set(event.type, (counts.get(event.type) ?? 0) + 1);
    },
    result: () => Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

function addCounts(totals: Map<string, number>, result: Json): void {
  for (const [type, count] of Object.entries(result as { [type: string]: number })) {
    totals.set(type, (totals.get(type) ?? 0) + count);
  }
}

/** JSON with the members of objects in the order of their names: one text for equal values. */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const members = Object.keys(value)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] as Json)}`);
  return `{${members.join(',')}}`;
}

const PATHS_MAX = 32;

/** Where two values part: dotted paths, at most 32, `$` for the values themselves. */
export function differingPaths(a: Json, b: Json): string[] {
  const found: string[] = [];
  collect(a, b, '', found);
  return found;
}

function collect(a: Json | undefined, b: Json | undefined, path: string, found: string[]): void {
  if (found.length >= PATHS_MAX || a === b) return;
  if (isContainer(a) && isContainer(b) && Array.isArray(a) === Array.isArray(b)) {
    const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
    for (const key of keys) {
      const at = path === '' ? key : `${path}.${key}`;
      collect(own(a, key), own(b, key), at, found);
    }
    return;
  }
  found.push(path === '' ? '$' : path);
}

type Container = { readonly [key: string]: Json };

function isContainer(value: Json | undefined): value is Json & Container {
  return typeof value === 'object' && value !== null;
}

function own(value: Container, key: string): Json | undefined {
  return Object.hasOwn(value, key) ? value[key] : undefined;
}
