import { cloneContext } from '../context.ts';
import { emptyCounter } from '../counter.ts';
import { compareDots, type Incarnation } from '../dot.ts';
import { encodeKeyed, type KeyedState, keyedLattice } from '../keyed.ts';
import { decodeMessage, encodeMessage } from '../replication/messages.ts';
import type { ReadonlyVector } from '../replication/vector.ts';
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

/** One commit by itself, to be sent whatever its reader has. */
export function looseMessage(
  incarnation: Incarnation,
  number: number,
  delta: KeyedState,
): Uint8Array {
  const ranges = [{ incarnation, after: number - 1, upTo: number }];
  const causes = new Map();
  return encodeMessage({ kind: 'deltas', reader: 0, ranges, causes, delta: encodeKeyed(delta) });
}

/** What a reader makes of a message that it ought to refuse. */
export function plantInMessage(
  bytes: Uint8Array,
  bug: PlantedBug,
  life: number,
  known: ReadonlyVector,
): Uint8Array {
  if (bug !== 'before-cause' && bug !== 'earlier-life') return bytes;
  const message = decodeMessage(bytes);
  if (message.kind !== 'deltas') return bytes;
  const ranges = message.ranges.map((range) => ({
    ...range,
    after: Math.min(range.after, known.get(range.incarnation) ?? 0),
  }));
  if (bug === 'earlier-life') return encodeMessage({ ...message, reader: life });
  return encodeMessage({ ...message, reader: life, ranges, causes: new Map() });
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
    delta.counters.set('c', { ...emptyCounter(), entries: folded });
    replica.spread(delta);
  }
}
