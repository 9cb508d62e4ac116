import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { joinSets, setDigest } from '@memplane/crdt';
import { figure, ScratchFolder, scaled, testSeed } from '@memplane/testkit';
import { EmbeddedStore } from '../../drivers/embedded-store.ts';
import { MemoryStore } from '../../drivers/test-memory-store.ts';
import type { CrdtStore } from '../port.ts';
import { type ComparingReplica, ComparingWire } from './test-comparing.ts';

const ELEMENTS = scaled('large_set_elements', { ci: 10_000, soak: 1_000_000 });
const HISTORIES = scaled('piece_histories', { ci: 5, soak: 1_000 });
const DIFFERENCES = 10;
/** For two replicas that differ in ten elements, both ways, whatever the size of the set. */
const WIRE_BYTES_MAX = 64 * 1024;
/** Enough to be compared in pieces. */
const MANY = Array.from({ length: 100 }, (_, i) => `e${i}`);
const random = testSeed('sets in pieces');

const folder = () => new ScratchFolder('pieces');
const onDisk = (path: string) => EmbeddedStore.open({ dir: path }) as Promise<CrdtStore>;

async function evenOut(a: ComparingReplica, b: ComparingReplica): Promise<void> {
  await a.catchUp(b.id);
  await b.catchUp(a.id);
}

describe('a large set', () => {
  it(`of ${ELEMENTS} elements is compared by what differs`, async () => {
    using first = folder();
    using second = folder();
    const wire = new ComparingWire();
    const stores = [await onDisk(first.path), await onDisk(second.path)] as const;
    const a = await wire.start('a', stores[0], ELEMENTS * 2);
    const b = await wire.start('b', stores[1], ELEMENTS * 2);
    await a.add(
      's',
      Array.from({ length: ELEMENTS }, (_, i) => `element ${i}`),
    );

    const emptied = performance.now();
    await b.catchUp(a.id);
    figure('an emptied replica has the set after', Math.round(performance.now() - emptied), 'ms');
    assert.equal(await a.digests(), await b.digests());

    const some = () => `element ${random.int(0, ELEMENTS - 1)}`;
    const half = DIFFERENCES / 2;
    await a.add(
      's',
      Array.from({ length: half }, (_, i) => `only at a ${i}`),
    );
    await b.remove('s', Array.from({ length: half }, some));
    wire.bytes = 0;
    wire.calls = 0;
    const begin = performance.now();
    await evenOut(a, b);
    const tookMs = performance.now() - begin;
    figure(`${DIFFERENCES} differences of ${ELEMENTS}: bytes on the wire`, wire.bytes);
    figure(`${DIFFERENCES} differences of ${ELEMENTS}: calls`, wire.calls);
    figure(`${DIFFERENCES} differences of ${ELEMENTS}: even after`, Math.round(tookMs), 'ms');
    assert.ok(wire.bytes <= WIRE_BYTES_MAX, `${wire.bytes} bytes`);
    assert.equal(await a.digests(), await b.digests());
    await Promise.all(stores.map((store) => store.close()));
  });

  it('is even after random changes on both sides, in pieces or whole', async () => {
    for (let run = 0; run < HISTORIES; run++) {
      using first = folder();
      using second = folder();
      const wire = new ComparingWire();
      const isWhole = random.chance(0.2);
      const stores = [
        random.chance(0.5) ? new MemoryStore() : await onDisk(first.path),
        random.chance(0.5) ? new MemoryStore(!isWhole) : await onDisk(second.path),
      ] as const;
      const a = await wire.start('a', stores[0]);
      const b = await wire.start('b', stores[1]);
      for (let step = 0; step < 6; step++) {
        for (const one of [a, b]) await changeSet(one);
        if (random.chance(0.5)) await catchUpChecked(a, b);
        else await catchUpChecked(b, a);
      }
      await catchUpChecked(a, b);
      await catchUpChecked(b, a);
      assert.equal(await a.digests(), await b.digests(), `run ${run}`);
      for (const store of stores) {
        for await (const value of store.verify()) assert.equal(value.stored, value.computed);
        await store.close();
      }
    }
  });

  it('is told apart from many small ones, which come together', async () => {
    const wire = new ComparingWire();
    const a = await wire.start('a', new MemoryStore());
    const b = await wire.start('b', new MemoryStore());
    for (let name = 0; name < 300; name++) await a.add(`small-${name}`, ['x', 'y']);
    await a.add('s', MANY);
    wire.calls = 0;
    await b.catchUp(a.id);
    assert.equal(await a.digests(), await b.digests());
    assert.ok(wire.calls <= 6, `${wire.calls} calls`);
  });

  it('stays different where a digest hides what differs, until it does not', async () => {
    const wire = new ComparingWire();
    const blind = new MemoryStore();
    const { pieces } = blind;
    assert.ok(pieces);
    const a = await wire.start('a', new MemoryStore());
    const b = await wire.start('b', blind);
    await a.add('s', MANY);
    await b.catchUp(a.id);
    const old = await pieces.digests({ tenant: 'default', name: 's' }, ['']);
    Object.assign(blind, { pieces: { ...pieces, digests: async () => old } });
    await b.add('s', ['only at b']);
    await a.catchUp(b.id);
    assert.ok(!(await a.setOf('s')).elements.has('only at b'));
    Object.assign(blind, { pieces });
    await a.catchUp(b.id);
    assert.equal(await a.digests(), await b.digests());
  });

  it('takes nothing over from a replica that starts anew meanwhile', async () => {
    const wire = new ComparingWire();
    const [a, b] = [
      await wire.start('a', new MemoryStore()),
      await wire.start('b', new MemoryStore()),
    ];
    await a.add('s', MANY);
    const compared = await b.comparing.compare('a', new AbortController().signal);
    a.life = 2;
    await assert.rejects(b.comparing.takeOver('a', compared, new AbortController().signal), {
      code: 'dependency_unavailable',
    });
    assert.equal(b.replica.executor.known.get(a.replica.executor.incarnation), undefined);
  });
});

/** What is here afterwards is the join of both sets. */
async function catchUpChecked(here: ComparingReplica, there: ComparingReplica): Promise<void> {
  const [mine, theirs] = [await here.setOf('s'), await there.setOf('s')];
  await here.catchUp(there.id);
  const joined = joinSets(mine, theirs);
  assert.equal(setDigest(await here.setOf('s')), setDigest(joined));
}

async function changeSet(one: ComparingReplica): Promise<void> {
  const size = random.pick([3, 300, 900]);
  const some = () => {
    const from = random.int(0, 900);
    return Array.from({ length: random.int(1, size) }, (_, i) => `e${(from + i) % 1_000}`);
  };
  const choice = random.next();
  if (choice < 0.05) await one.reset('s');
  else if (choice < 0.6) await one.add('s', some());
  else await one.remove('s', some());
}
