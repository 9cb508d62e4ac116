import {
  type CausalContext,
  type ReplicaDelta,
  replicaDeltaLattice,
  type SetPatch,
} from '@memplane/crdt';

const ENTRY_BYTES = 40;

/**
 * A delta in parts that together say the same, for messages with a bound: elements of sets go apart
 * from each other. Each part is below the whole, so any of them may be joined without the others.
 */
export function* splitStates(delta: ReplicaDelta, part_bytes_max: number): Generator<ReplicaDelta> {
  const rest: ReplicaDelta = { ...delta, sets: new Map() };
  if (!replicaDeltaLattice.isBottom(rest)) yield rest;
  for (const [key, { patch, cleared }] of delta.sets) {
    let part: SetPatch = new Map();
    let bytes = 0;
    for (const [element, state] of patch) {
      part.set(element, state);
      const entries = 1 + 2 * state.dots.length + 2 * state.context.size;
      bytes += Buffer.byteLength(element) + entries * ENTRY_BYTES;
      if (bytes < part_bytes_max) continue;
      yield setPart(key, part, new Map());
      part = new Map();
      bytes = 0;
    }
    if (part.size > 0 || cleared.size > 0) yield setPart(key, part, cleared);
  }
}

function setPart(key: string, patch: SetPatch, cleared: CausalContext): ReplicaDelta {
  return { ...replicaDeltaLattice.bottom(), sets: new Map([[key, { patch, cleared }]]) };
}
