import * as codec from './codec.ts';
import { summarize } from './compare-pieces.ts';
import { emptyCounter, increment, joinCounterInto, resetCounter } from './counter.ts';
import { encodeClaimedCounter } from './counter-codec.ts';
import { encodeKeyed, type KeyedState, keyedDigest } from './keyed.ts';
import type { Lattice } from './lattice.ts';
import * as lattices from './lattices.ts';
import { writeRegister } from './lww-register.ts';
import * as map from './or-map.ts';
import { encodeField, encodeMap, mapDigest } from './or-map-codec.ts';
import { addElement, removeElement } from './or-set.ts';
import { encodeExchange, encodePatch, encodePiece, encodeSummaries } from './piece-codec.ts';
import {
  addToPieces,
  cutSet,
  exchangeOf,
  piecedSetDigest,
  removeFromPieces,
} from './pieced-set.ts';
import { castVote, retireVotes } from './quorum-flag.ts';
import { encodeFlag, flagDigest } from './quorum-flag-codec.ts';
import type { ReplicaDelta } from './replica-delta.ts';
import { encodeReplicaDelta } from './replica-delta-codec.ts';
import { encodeMessage } from './replication/messages.ts';

const A = '0a'.repeat(16);
const B = 'b0'.repeat(16);

/** A state that some mutations make, one after the other. */
function made<S>(lattice: Lattice<S>, ...mutations: ((state: S) => S)[]): S {
  const state = lattice.bottom();
  for (const mutate of mutations) lattice.joinInto(state, mutate(state));
  return state;
}

function states() {
  const counter = made(
    lattices.counterLattice,
    (it) => increment(it, A, 5n, 'pn'),
    (it) => resetCounter(it),
    (it) => increment(it, A, 2n ** 40n),
    (it) => increment(it, B, -7n),
  );
  const byPartition = new Map([[3, { epoch: 1, offset: 4_294_967_296, value: 17 }]]);
  const parts = { generation: 1, logId: 'log', byPartition };
  joinCounterInto(counter, { ...emptyCounter(), parts });
  const set = made(
    lattices.setLattice,
    (it) => addElement(it, A, 'x'),
    (it) => addElement(it, A, 'é'),
    (it) => removeElement(it, 'x'),
    (it) => addElement(it, B, 'z'.repeat(30)),
  );
  const value = { list: [1, -1.5, null, true], text: 'ü' };
  const register = made(lattices.registerLattice, (it) =>
    writeRegister(it, { incarnation: A, hlc: 2n ** 60n, replica: 'one', value }),
  );
  const ormap = made(
    lattices.mapLattice,
    (it) => map.incrementField(it, ['in', 'c'], A, -3n),
    (it) => map.addToField(it, ['s'], B, 'x'),
    (it) => map.writeField(it, ['r'], B, { hlc: 9n, replica: 'two', value }),
    (it) => map.addToField(it, ['gone'], B, 'y'),
    (it) => map.removeField(it, 'set', ['gone']),
  );
  const flag = made(
    lattices.flagLattice,
    () => castVote(2, 'one'),
    () => castVote(3, 'two'),
    () => castVote(3, 'one'),
    () => retireVotes(3),
  );
  return { counter, set, register, map: ormap, flag };
}

/** One encoding of each kind by name, in hex, as this code makes them; digests too. */
export function makeVectors(): Record<string, string> {
  const { counter, set, register, map: ormap, flag } = states();
  const keyed: KeyedState = {
    counters: new Map([['c', counter]]),
    sets: new Map([['s', set]]),
    registers: new Map([['r', register]]),
    maps: new Map([['m', ormap]]),
    flags: new Map([['f', flag]]),
  };
  const pieced = cutSet(set, 1);
  const [field = ''] = ormap.root.children.keys();
  const patch = new Map([...addToPieces(pieced, B, 'x'), ...removeFromPieces(pieced, 'é')]);
  const told = { life: 3, sequence: 7, own: A, digest: 2 ** 40, isWhole: true, refuses: false };
  const entries = new Map([
    [B, 23],
    [A, 70_000],
  ]);
  const ranges = [{ incarnation: A, after: 23, upTo: 70_000 }];
  const used = { by: -7, hlc: 2n ** 60n, incarnation: B, seq: 1, commit: 70_000 };
  const late = { ...used, hlc: 2n ** 60n + 1n, incarnation: A, seq: 2 };
  const claimed = made(
    lattices.counterLattice,
    () => counter,
    () => ({ ...emptyCounter(), claims: new Map([['ü', used]]) }),
    () => ({ ...emptyCounter(), claims: new Map([['ü', late]]) }),
  );
  const replicaDelta: ReplicaDelta = {
    counters: new Map([['default/c', claimed]]),
    sets: new Map([['default/s', { patch, cleared: set.context }]]),
    registers: new Map([['default/r', register]]),
    flags: new Map([['default/f', flag]]),
    maps: new Map(),
  };
  const withMaps = { ...replicaDelta, maps: new Map([['default/m', ormap]]) };
  const bytes = {
    counter: codec.encodeCounter(counter),
    counterWithContested: codec.encodeCounter(claimed),
    counterWithClaims: encodeClaimedCounter(claimed),
    set: codec.encodeSet(set),
    register: codec.encodeRegister(register),
    context: codec.encodeContext(set.context),
    element: codec.encodeElement('é', set.elements.get('é') ?? []),
    map: encodeMap(ormap),
    field: encodeField(field, ormap.root.children.get(field) ?? { items: [] }),
    flag: encodeFlag(flag),
    keyed: encodeKeyed(keyed),
    piece: encodePiece('', set.elements),
    summaries: encodeSummaries(summarize(pieced.tree, ['', '1'])),
    patch: encodePatch(patch),
    exchange: encodeExchange(exchangeOf(pieced, [''])),
    vector: encodeMessage({ kind: 'vector', ...told, wantsWhole: true, entries }),
    deltas: encodeMessage({
      kind: 'deltas',
      reader: 3,
      ranges,
      causes: entries,
      delta: encodeKeyed(keyed),
    }),
    behind: encodeMessage({ kind: 'behind', reader: 70_000 }),
    replicaDelta: encodeReplicaDelta(replicaDelta),
    replicaDeltaWithMaps: encodeReplicaDelta(withMaps),
  };
  const digests = {
    counterDigest: codec.counterDigest(counter),
    setDigest: codec.setDigest(set),
    registerDigest: codec.registerDigest(register),
    mapDigest: mapDigest(ormap),
    flagDigest: flagDigest(flag),
    keyedDigest: keyedDigest(keyed),
    piecedSetDigest: piecedSetDigest(pieced),
  };
  return {
    ...Object.fromEntries(
      Object.entries(bytes).map(([k, v]) => [k, Buffer.from(v).toString('hex')]),
    ),
    ...Object.fromEntries(Object.entries(digests).map(([k, v]) => [k, codec.formatDigest(v)])),
  };
}
