import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  addElement,
  counterValue,
  emptyCounter,
  emptyRegister,
  encodeElement,
  increment,
  joinCounters,
  joinRegisters,
  joinSets,
  type OrSetState,
  readRegister,
  recordDigest,
  writeRegister,
} from '@memplane/crdt';
import type { Change, CrdtStore, Ref, SetChange, SetHeader } from '../domain/port.ts';

/** A place for one store, which can be opened again after it was closed. */
export interface StoreHarness {
  /** @param opIdsMax how many operation ids a counter remembers */
  open(opIdsMax: number): Promise<CrdtStore>;
  /** Makes a stored set differ from what its header says. */
  damageSet(store: CrdtStore, ref: Ref): Promise<void>;
  cleanUp(): Promise<void>;
}

const INCARNATION = 'c'.repeat(32);
const ref = (name: string, tenant = 'default'): Ref => ({ tenant, name });

function counterChange(name: string, by: bigint, tenant = 'default'): Change {
  const delta = increment(emptyCounter(), INCARNATION, by);
  const state = joinCounters(emptyCounter(), delta);
  return { type: 'counter', ref: ref(name, tenant), delta, state, ops: [] };
}

/** Adds elements, in place of all that a set `cleared` had. */
function setChange(name: string, elements: readonly string[], cleared?: SetChange): SetChange {
  let delta: OrSetState = { elements: new Map(), context: cleared?.header.context ?? new Map() };
  for (const element of elements) delta = joinSets(delta, addElement(delta, INCARNATION, element));
  let elementsDigest = 0n;
  for (const [element, dots] of delta.elements) {
    elementsDigest += recordDigest(encodeElement(element, dots));
  }
  const header: SetHeader = {
    context: delta.context,
    elements: elements.length,
    elementBytes: Buffer.byteLength(elements.join('')),
    elementsDigest: elementsDigest & ((1n << 128n) - 1n),
  };
  const isCleared = cleared !== undefined;
  const touched = delta.elements;
  return { type: 'set', ref: ref(name), delta, header, cleared: isCleared, touched };
}

/** What every driver of {@link CrdtStore} must do. Each case gets a store of its own. */
export function storeContract(newHarness: () => Promise<StoreHarness>): void {
  const check = (
    what: string,
    work: (
      store: CrdtStore,
      reopen: () => Promise<CrdtStore>,
      harness: StoreHarness,
    ) => Promise<void>,
    opIdsMax = 4,
  ) =>
    it(what, async () => {
      const harness = await newHarness();
      let store = await harness.open(opIdsMax);
      try {
        const reopen = async () => {
          await store.close();
          store = await harness.open(opIdsMax);
          return store;
        };
        await work(store, reopen, harness);
      } finally {
        await store.close();
        await harness.cleanUp();
      }
    });
  const commit = (store: CrdtStore, changes: readonly Change[], number = 1) =>
    store.commit({ incarnation: INCARNATION, number, hlc: BigInt(number) << 20n, changes });

  check('gives nothing for names that hold nothing', async (store) => {
    const [nothing] = await store.load([ref('nobody')]);
    assert.deepEqual(nothing, { counter: undefined, set: undefined, register: undefined });
    assert.deepEqual(await store.elements(ref('nobody'), { after: undefined, limit: 9 }), []);
    assert.deepEqual(await store.incarnations(), []);
  });

  check('keeps all types over a restart, under names that do not mix', async (first, reopen) => {
    const write = { incarnation: INCARNATION, hlc: 7n, replica: 'r', value: { deep: [1, 'ü'] } };
    const delta = writeRegister(emptyRegister(), write);
    const state = joinRegisters(emptyRegister(), delta);
    await commit(first, [
      counterChange('a', 5n),
      counterChange('a', -7n, 'other'),
      setChange('a-set', ['x', 'y', '', 'ü\0ü']),
      { type: 'register', ref: ref('a-register'), delta, state },
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

  check(
    'remembers the newest operation ids of each counter, as many as it should',
    async (first, reopen) => {
      let store = first;
      for (let n = 1; n <= 7; n++) {
        const ops = [{ opId: `op${n}`, record: { by: n, hlc: BigInt(n) } }];
        await commit(store, [{ ...counterChange('k', 1n), ops } as Change], n);
        if (n === 3) store = await reopen();
      }
      const found = await store.loadOps(
        [1, 3, 4, 7].map((n) => ({ ref: ref('k'), opId: `op${n}` })),
      );
      assert.deepEqual(found, [undefined, undefined, { by: 4, hlc: 4n }, { by: 7, hlc: 7n }]);
      assert.deepEqual(await store.loadOps([{ ref: ref('other'), opId: 'op7' }]), [undefined]);
    },
  );

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
