import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  addElement,
  type Claim,
  castVote,
  contextOf,
  counterDigest,
  counterValue,
  emptyCounter,
  emptyMap,
  emptyRegister,
  encodeElement,
  encodeMap,
  type FlagState,
  flagDigest,
  flagLattice,
  formatDigest,
  increment,
  incrementField,
  join,
  joinCounters,
  joinRegisters,
  joinSets,
  type OrSetState,
  readRegister,
  recordDigest,
  registerDigest,
  setDigest,
  writeRegister,
} from '@memplane/crdt';
import type {
  Change,
  CrdtStore,
  Ref,
  RegisterChange,
  SetChange,
  SetHeader,
  ValueDigest,
} from '../domain/port.ts';

/** A place for one store, which can be opened again after it was closed. */
export interface StoreHarness {
  open(): Promise<CrdtStore>;
  /** Makes a stored set differ from what its header says. */
  damageSet(store: CrdtStore, ref: Ref): Promise<void>;
  cleanUp(): Promise<void>;
}

const joinFlags = (a: FlagState, b: FlagState) => join(flagLattice, a, b);
const INCARNATION = 'c'.repeat(32);
const ref = (name: string, tenant = 'default'): Ref => ({ tenant, name });

function counterChange(name: string, by: bigint, tenant = 'default'): Change {
  const delta = increment(emptyCounter(), INCARNATION, by);
  const state = joinCounters(emptyCounter(), delta);
  return { type: 'counter', ref: ref(name, tenant), delta, state, ops: [] };
}

/** A claim of the first increments. */
function claimOf(by: number, hlc: number): Claim {
  return { by, hlc: BigInt(hlc), incarnation: INCARNATION, seq: 1, commit: by };
}

/** An increment with an operation id. */
function usedBy(name: string, opId: string, claim: Claim, before?: Claim): Change {
  const delta = { ...increment(emptyCounter(), INCARNATION, 1n), claims: new Map([[opId, claim]]) };
  const state = joinCounters(emptyCounter(), delta);
  return { type: 'counter', ref: ref(name), delta, state, ops: [{ opId, claim, before }] };
}

/** Adds elements, in place of all that a set `before` had. */
function setChange(name: string, elements: readonly string[], before?: SetChange): SetChange {
  const cleared = before?.header.context ?? new Map();
  let state: OrSetState = { elements: new Map(), context: cleared };
  for (const element of elements) state = joinSets(state, addElement(state, INCARNATION, element));
  let elementsDigest = 0n;
  for (const [element, dots] of state.elements) {
    elementsDigest += recordDigest(encodeElement(element, dots));
  }
  const header: SetHeader = {
    context: state.context,
    elements: elements.length,
    elementBytes: Buffer.byteLength(elements.join('')),
    elementsDigest: elementsDigest & ((1n << 128n) - 1n),
  };
  const touched = state.elements;
  const patch = new Map(
    [...touched].map(([element, dots]) => [element, { dots, context: contextOf(dots) }]),
  );
  const change = { type: 'set', ref: ref(name), delta: { patch, cleared }, header } as const;
  return { ...change, cleared: before !== undefined, touched };
}

function registerChange(name: string): RegisterChange {
  const write = { incarnation: INCARNATION, hlc: 7n, replica: 'r', value: { deep: [1, 'ü'] } };
  const delta = writeRegister(emptyRegister(), write);
  const state = joinRegisters(emptyRegister(), delta);
  return { type: 'register', ref: ref(name), delta, state };
}

/** What every driver of {@link CrdtStore} must do. Each case gets a store of its own. */
export function storeContract(newHarness: () => Promise<StoreHarness>): void {
  const check: Check = (what, work) =>
    void it(what, async () => {
      const harness = await newHarness();
      let store = await harness.open();
      try {
        const reopen = async () => {
          await store.close();
          store = await harness.open();
          return store;
        };
        await work(store, reopen, harness);
      } finally {
        await store.close();
        await harness.cleanUp();
      }
    });
  valueCases(check);
  listCases(check);
  commitCases(check);
  stateCases(check);
  exchangeCases(check);
}

type Case = (
  store: CrdtStore,
  reopen: () => Promise<CrdtStore>,
  harness: StoreHarness,
) => Promise<void>;
type Check = (what: string, work: Case) => void;

function commit(store: CrdtStore, changes: readonly Change[], number = 1): Promise<void> {
  const hlc = BigInt(number) << 20n;
  return store.commit({ incarnation: INCARNATION, number, hlc, changes, known: new Map() });
}

function expectNothing(found: object | undefined): void {
  assert.ok(found);
  for (const [what, value] of Object.entries(found)) assert.equal(value, undefined, what);
}

function valueCases(check: Check): void {
  check('gives nothing for names that hold nothing', async (store) => {
    const [nothing] = await store.load([ref('nobody')]);
    expectNothing(nothing);
    assert.deepEqual(await store.elements(ref('nobody'), { after: undefined, limit: 9 }), []);
    assert.deepEqual(await store.incarnations(), []);
    assert.equal(await store.lastStamp(), 0n);
    assert.deepEqual(await store.digests({ after: undefined, limit: 9 }), []);
    expectNothing(await store.state(ref('nobody')));
  });

  check('keeps all types over a restart, under names that do not mix', async (first, reopen) => {
    await commit(first, [
      counterChange('a', 5n),
      counterChange('a', -7n, 'other'),
      setChange('a-set', ['x', 'y', '', 'ü\0ü']),
      registerChange('a-register'),
    ]);
    const store = await reopen();
    const [a, other, set, register] = await store.load([
      ref('a'),
      ref('a', 'other'),
      ref('a-set'),
      ref('a-register'),
    ]);
    assert.equal(counterValue(a?.counter ?? emptyCounter()), 5);
    assert.equal(counterValue(other?.counter ?? emptyCounter()), -7);
    assert.equal(set?.set?.elements, 4);
    assert.deepEqual(readRegister(register?.register ?? emptyRegister())?.value, {
      deep: [1, 'ü'],
    });
    assert.deepEqual(await store.elements(ref('a-set'), { after: undefined, limit: 10 }), [
      '',
      'x',
      'y',
      'ü\0ü',
    ]);
    assert.deepEqual(await store.elements(ref('a-set'), { after: 'x', limit: 1 }), ['y']);
    assert.deepEqual(await store.incarnations(), [
      { incarnation: INCARNATION, commits: 1, hlc: 1n << 20n },
    ]);
  });

  check('finds single elements, and removes all when a set is cleared', async (store) => {
    const first = setChange('s', ['x', 'y']);
    await commit(store, [first]);
    await commit(store, [setChange('s2', ['x'])], 2);
    const [x, z] = await store.loadElements([
      { ref: ref('s'), element: 'x' },
      { ref: ref('s'), element: 'z' },
    ]);
    assert.equal(x?.length, 1);
    assert.equal(z, undefined);
    await commit(store, [setChange('s', ['new'], first)], 3);
    assert.deepEqual(await store.elements(ref('s'), { after: undefined, limit: 9 }), ['new']);
    assert.deepEqual(await store.elements(ref('s2'), { after: undefined, limit: 9 }), ['x']);
  });
}

function listCases(check: Check): void {
  check('lists one type of one tenant in order, paged', async (store) => {
    const names = ['b', 'a', 'a.b', 'c'];
    await commit(store, [...names.map((name) => counterChange(name, 1n)), setChange('d', ['x'])]);
    const all = await store.list('default', 'counter', { after: undefined, limit: 9 });
    assert.deepEqual(
      all.map(({ name }) => name),
      ['a', 'a.b', 'b', 'c'],
    );
    const page = await store.list('default', 'counter', { after: 'a', limit: 2 });
    assert.deepEqual(
      page.map(({ name }) => name),
      ['a.b', 'b'],
    );
    assert.deepEqual(await store.list('other', 'counter', { after: undefined, limit: 9 }), []);
  });

  check('remembers operation ids, in the order of their stamps', async (first, reopen) => {
    let store = first;
    for (let n = 1; n <= 7; n++) {
      await commit(store, [usedBy('k', `op${n}`, claimOf(n, 10 - n))], n);
      if (n === 3) store = await reopen();
    }
    await commit(store, [usedBy('k2', 'op7', claimOf(9, 9))], 8);
    const wants = ['op1', 'op7', 'op8'].map((opId) => ({ ref: ref('k'), opId }));
    assert.deepEqual(await store.loadOps(wants), [claimOf(1, 9), claimOf(7, 3), undefined]);
    assert.deepEqual(await store.loadOps([{ ref: ref('other'), opId: 'op7' }]), [undefined]);
    assert.deepEqual(await store.opCounts([ref('k'), ref('k2'), ref('other')]), [7, 1, 0]);
    const oldest = await store.oldestOps(ref('k'), 2);
    assert.deepEqual(oldest, [
      { opId: 'op7', claim: claimOf(7, 3) },
      { opId: 'op6', claim: claimOf(6, 4) },
    ]);
    // A lesser claim takes the place of another, and is in no other place.
    await commit(store, [usedBy('k', 'op1', claimOf(1, 1), claimOf(1, 9))], 9);
    assert.deepEqual(await store.oldestOps(ref('k'), 1), [{ opId: 'op1', claim: claimOf(1, 1) }]);
    assert.deepEqual(await store.opCounts([ref('k')]), [7]);
    await store.forgetOps(ref('k'), oldest);
    store = await reopen();
    assert.deepEqual(await store.opCounts([ref('k'), ref('k2')]), [5, 1]);
    assert.deepEqual(await store.loadOps(wants), [claimOf(1, 1), undefined, undefined]);
    const left = (await store.oldestOps(ref('k'), 100)).map(({ opId }) => opId);
    assert.deepEqual(left, ['op1', 'op5', 'op4', 'op3', 'op2']);
  });

  check('keeps what is contested, in the digest too', async (first, reopen) => {
    const claims = [claimOf(3, 1), claimOf(3, 2)];
    const delta = {
      ...increment(emptyCounter(), INCARNATION, 6n),
      contested: new Map([['ü', claims]]),
    };
    const state = joinCounters(emptyCounter(), delta);
    await commit(first, [{ type: 'counter', ref: ref('c'), delta, state, ops: [] }]);
    const store = await reopen();
    const [loaded] = await store.load([ref('c')]);
    assert.deepEqual(loaded?.counter, state);
    assert.equal(counterValue(state), 3);
    const [{ digest } = { digest: '' }] = await store.digests({ after: undefined, limit: 1 });
    assert.equal(digest, formatDigest(counterDigest(state)));
    assert.notEqual(digest, formatDigest(counterDigest({ ...state, contested: undefined })));
  });

  check('verifies digests', async (store, _reopen, harness) => {
    await commit(store, [counterChange('c', 3n), setChange('s', ['x', 'y'])]);
    const seen = await Array.fromAsync(store.verify());
    assert.deepEqual(seen.map(({ type, name }) => `${type}/${name}`).sort(), [
      'counter/c',
      'set/s',
    ]);
    for (const { stored, computed } of seen) assert.equal(stored, computed);
    // A header that does not fit its elements is noticed.
    await harness.damageSet(store, ref('s'));
    const set = (await Array.fromAsync(store.verify())).find(({ type }) => type === 'set');
    assert.equal(set?.stored === set?.computed, false);
  });
}

function commitCases(check: Check): void {
  check('keeps what is known of others, whoever made the changes', async (first, reopen) => {
    const [other, third] = ['b'.repeat(32), 'd'.repeat(32)];
    const own = { incarnation: INCARNATION, changes: [] };
    const known = new Map([[other, 7]]);
    await first.commit({ ...own, number: undefined, hlc: 5n << 20n, known });
    await first.commit({ ...own, number: 1, hlc: 4n << 20n, known: new Map([[third, 2]]) });
    const store = await reopen();
    await store.commit({ ...own, number: undefined, hlc: 3n << 20n, known: new Map([[other, 9]]) });
    const found = (await store.incarnations()).map((it) => [it.incarnation, it.commits]);
    assert.deepEqual(
      new Map(found as [string, number][]),
      new Map([
        [other, 9],
        [INCARNATION, 1],
        [third, 2],
      ]),
    );
  });

  check('keeps the highest stamp, of commits without a number too', async (first, reopen) => {
    const own = { incarnation: INCARNATION, known: new Map() };
    await first.commit({ ...own, number: 1, hlc: 4n << 20n, changes: [] });
    await first.commit({
      ...own,
      number: undefined,
      hlc: 9n << 20n,
      changes: [counterChange('a', 1n)],
    });
    const store = await reopen();
    assert.equal(await store.lastStamp(), 9n << 20n);
    assert.deepEqual(
      (await store.incarnations()).map(({ commits }) => commits),
      [1],
    );
  });
}

/** What replicas compare and give each other. */
function exchangeCases(check: Check): void {
  check('keeps flags beside what their names hold', async (store, reopen) => {
    const vote = castVote(7, 'a');
    const state = joinFlags(vote, castVote(9, 'b'));
    const flag: Change = { type: 'flag', ref: ref('n'), delta: state, state };
    await commit(store, [flag, counterChange('n', 1n)]);
    const again = await reopen();
    const [loaded] = await again.load([ref('n')]);
    assert.deepEqual(loaded?.flag, state);
    assert.deepEqual((await again.state(ref('n'))).flag, state);
    const digests = await again.digests({ after: undefined, limit: 10 });
    assert.deepEqual(
      digests.map(({ type, digest }) => [type, digest]),
      [
        ['counter', formatDigest(counterDigest(loaded.counter ?? emptyCounter()))],
        ['flag', formatDigest(flagDigest(state))],
      ],
    );
    await again.discard('flag', ref('n'));
    const left = await again.state(ref('n'));
    assert.deepEqual([left.flag, left.counter], [undefined, loaded.counter]);
  });

  check('keeps maps beside what their names hold', async (store, reopen) => {
    const state = incrementField(emptyMap(), ['in', 'f'], INCARNATION, 3n);
    const map: Change = { type: 'map', ref: ref('n'), delta: state, state };
    await commit(store, [map, counterChange('n', 1n)]);
    const again = await reopen();
    const [loaded] = await again.load([ref('n')]);
    assert.deepEqual(loaded?.map, state);
    assert.deepEqual((await again.state(ref('n'))).map, state);
    const [listed] = await again.list('default', 'map', { after: undefined, limit: 9 });
    assert.equal(listed?.name, 'n');
    const digests = await again.digests({ after: undefined, limit: 10 });
    assert.deepEqual(
      digests.map(({ type }) => type),
      ['counter', 'map'],
    );
    assert.equal(digests[1]?.digest, formatDigest(recordDigest(encodeMap(state))));
    await again.discard('map', ref('n'));
    const left = await again.state(ref('n'));
    assert.deepEqual([left.map, left.counter], [undefined, loaded.counter]);
  });

  check('gives no state of a set that is damaged', async (store, _, { damageSet }) => {
    await commit(store, [setChange('hurt', ['x', 'y']), counterChange('well', 1n)]);
    await damageSet(store, ref('hurt'));
    await assert.rejects(store.state(ref('hurt')), { code: 'storage_damaged' });
    assert.equal(counterValue((await store.state(ref('well'))).counter ?? emptyCounter()), 1);
  });

  check('drops a value with all that belongs to it', async (store, reopen) => {
    const used = usedBy('n', 'x', claimOf(1, 1));
    await commit(store, [used, setChange('n', ['x', 'y']), registerChange('n')]);
    await commit(store, [counterChange('n.1', 2n), setChange('n.1', ['x'])], 2);
    await store.discard('counter', ref('n'));
    await store.discard('set', ref('n'));
    const again = await reopen();
    const { counter: gone, set, register } = await again.state(ref('n'));
    assert.deepEqual([gone, set], [undefined, undefined]);
    assert.deepEqual(await again.opCounts([ref('n')]), [0]);
    assert.equal(readRegister(register ?? emptyRegister())?.replica, 'r');
    const other = await again.state(ref('n.1'));
    assert.ok(other.counter !== undefined && other.set?.elements.size === 1);
    await commit(again, [usedBy('n', 'z', claimOf(1, 1))], 3);
    const { counter } = await again.state(ref('n'));
    assert.deepEqual([...(counter?.claims?.keys() ?? [])], ['z']);
  });
}

function stateCases(check: Check): void {
  check('gives digests of all values in one order, in pages of any size', async (store) => {
    const [a, z, r] = [
      counterChange('a', 5n, 'a-tenant'),
      counterChange('z', 1n),
      registerChange('b'),
    ];
    const s = setChange('b', ['x', 'y']);
    await commit(store, [z, s, r, a, counterChange('b.1', 2n), counterChange('z', 1n, 'zz')]);
    const all = await store.digests({ after: undefined, limit: 100 });
    assert.deepEqual(
      all.map(({ tenant, type, name }) => `${tenant} ${type} ${name}`),
      [
        'a-tenant counter a',
        'default counter b.1',
        'default counter z',
        'default set b',
        'default register b',
        'zz counter z',
      ],
    );
    const digestOf = (type: string, name: string) =>
      all.find((value) => value.type === type && value.name === name)?.digest;
    assert.ok(a.type === 'counter');
    assert.equal(digestOf('counter', 'a'), formatDigest(counterDigest(a.state)));
    assert.equal(digestOf('register', 'b'), formatDigest(registerDigest(r.state)));
    const set = { elements: new Map(s.touched), context: s.header.context };
    assert.equal(digestOf('set', 'b'), formatDigest(setDigest(set)));
    for (const limit of [1, 2, 3]) {
      const paged: ValueDigest[] = [];
      for (;;) {
        const page = await store.digests({ after: paged.at(-1), limit });
        paged.push(...page);
        if (page.length < limit) break;
      }
      assert.deepEqual(paged, all);
    }
  });

  check('gives all that one name holds', async (store) => {
    const counter = usedBy('a', 'ü/1', claimOf(3, 11));
    const set = setChange('a', ['x', 'y', '', 'ü\0ü']);
    await commit(store, [counter, set, registerChange('a'), setChange('a2', ['z'])]);
    const state = await store.state(ref('a'));
    assert.ok(counter.type === 'counter');
    assert.deepEqual(state.counter, counter.state);
    assert.deepEqual(state.register, registerChange('a').state);
    assert.deepEqual(state.set, { elements: set.touched, context: set.header.context });
    assert.deepEqual((await store.state(ref('a2'))).counter, undefined);
  });
}
