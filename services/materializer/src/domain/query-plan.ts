import type { IndexLeaf, IndexPlan } from '@memplane/filter';
import {
  encodeText,
  entryOf,
  isIndexablePath,
  OVERFLOW_ENTRY,
  typePrefix,
} from './index-entries.ts';
import { after } from './keys.ts';

/** A range of index entries, as the text before the entity in their keys. */
export interface EntryRange {
  readonly gte: string;
  readonly lt: string;
}

/**
 * The ranges of the index that hold every entity that can match, those overflown included; nothing
 * where only a scan of all entities finds them.
 */
export function rangesOf(plan: IndexPlan): EntryRange[] | undefined {
  const leaves = leavesOf(plan);
  if (leaves === undefined || !leaves.every(({ path }) => isIndexablePath(path))) return undefined;
  const ranges = new Map<string, EntryRange>();
  for (const leaf of leaves) {
    for (const range of rangesOfLeaf(leaf)) ranges.set(`${range.gte}\n${range.lt}`, range);
  }
  ranges.set('', { gte: OVERFLOW_ENTRY, lt: after(OVERFLOW_ENTRY) });
  return [...ranges.values()];
}

/** Leaves of which every match satisfies at least one: of a conjunction the most telling part. */
function leavesOf(plan: IndexPlan): IndexLeaf[] | undefined {
  switch (plan.kind) {
    case 'scan':
      return undefined;
    case 'leaf':
      return [plan];
    case 'or': {
      const parts = plan.of.map(leavesOf);
      return parts.every((part) => part !== undefined) ? parts.flat() : undefined;
    }
    case 'and': {
      const parts = plan.of
        .map(leavesOf)
        .filter((part) => part?.every(({ path }) => isIndexablePath(path)));
      return parts.sort((a, b) => cost(a) - cost(b))[0];
    }
  }
}

/** A guess: equality finds little, a range finds much. */
function cost(leaves: readonly IndexLeaf[] | undefined): number {
  let sum = 0;
  for (const leaf of leaves ?? []) {
    sum += leaf.op === 'eq' || leaf.op === 'in' ? leaf.values.length : 1_000;
  }
  return sum;
}

function rangesOfLeaf({ path, op, values }: IndexLeaf): EntryRange[] {
  if (op === 'eq' || op === 'in') {
    return values.map((value) => exactly(entryOf(path, value)));
  }
  return values.map((value) => {
    const type = typePrefix(path, value);
    const all = { gte: type, lt: after(type) };
    // Byte order and the order of texts differ beyond the first surrogate: take all texts then.
    if (typeof value === 'string' && /[\ud800-\uffff]/.test(value)) return all;
    const bound = typeof value === 'string' ? type + encodeText(value) : entryOf(path, value);
    return op === 'gt' || op === 'gte' ? { ...all, gte: bound } : { ...all, lt: after(bound) };
  });
}

function exactly(entry: string): EntryRange {
  return { gte: entry, lt: after(entry) };
}

/** Splits what follows the table's prefix in an index key into the entry and the rest. */
export function splitEntry(text: string): { entry: string; rest: string } {
  const pathEnd = text.indexOf('\x00');
  if (pathEnd === 0) return cutAt(text, OVERFLOW_ENTRY.length);
  const at = pathEnd + 2;
  switch (text[pathEnd + 1]) {
    case '2':
      return cutAt(text, at + 8);
    case '6':
      return cutAt(text, at + 1);
    default:
      return cutAt(text, text.indexOf('\x00\x00', at) + 2);
  }
}

function cutAt(text: string, at: number): { entry: string; rest: string } {
  return { entry: text.slice(0, at), rest: text.slice(at) };
}

/** Whether an entry lies in a range. */
export function inRange(entry: string, { gte, lt }: EntryRange): boolean {
  return entry >= gte && entry < lt;
}
