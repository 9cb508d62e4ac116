import { cloneContext } from '../context.ts';
import { compareDots } from '../dot.ts';
import { type KeyedState, keyedLattice } from '../keyed.ts';
import { withoutRemoved } from './operations.ts';
import type { PlantedBug } from './planted-bugs.ts';
import type { Replica } from './replica.ts';

/** What a bug makes of the delta that is sent for an operation. */
export function plantInDelta(
  delta: KeyedState,
  state: KeyedState,
  bug: PlantedBug,
  isRewrite: boolean,
): KeyedState {
  const sets = new Map(delta.sets);
  for (const [name, { elements, context }] of delta.sets) {
    const isRemoval = elements.size === 0 && context.size > 0;
    const whole = state.sets.get(name)?.context;
    if (bug === 'akka-22890' && isRemoval && whole !== undefined) {
      sets.set(name, { elements, context: cloneContext(whole) });
    }
    if (bug === 'akka.net-8220-marker' && isRewrite) {
      sets.set(name, { elements: new Map(), context });
    }
  }
  return { ...delta, sets };
}

/** A join that keeps each dot that is received, whether it was removed here or not. */
export function plantInReceived(state: KeyedState, received: KeyedState): void {
  for (const [name, { elements }] of received.sets) {
    const mine = state.sets.get(name)?.elements;
    for (const [element, dots] of elements) {
      const all = [...(mine?.get(element) ?? []), ...dots].sort(compareDots);
      const distinct = all.filter((dot, i) => i === 0 || compareDots(all[i - 1] ?? dot, dot) !== 0);
      mine?.set(element, distinct);
    }
  }
}

/** Cleaning up that should not be: of contexts, or of what a former incarnation counted. */
export function tidy(replica: Replica, bug: PlantedBug): void {
  const { state, incarnation, retired } = replica;
  if (bug === 'context-dropped') {
    const set = state.sets.get('s');
    if (set !== undefined) state.sets.set('s', withoutRemoved(set, incarnation));
    return;
  }
  const entries = state.counters.get('c')?.entries;
  for (const former of retired) {
    const part = entries?.get(former);
    if (entries === undefined || part === undefined) continue;
    const own = entries.get(incarnation) ?? { seq: 0, net: 0n, resetSeq: 0, resetNet: 0n };
    const net = own.net + part.net - part.resetNet;
    entries.delete(former);
    const delta = keyedLattice.bottom();
    const folded = new Map([[incarnation, { ...own, seq: own.seq + 1, net }]]);
    delta.counters.set('c', { kind: undefined, entries: folded, parts: undefined });
    replica.spread(delta);
  }
}
