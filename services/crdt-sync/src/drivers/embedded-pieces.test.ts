import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { elementHash, emptySet } from '@memplane/crdt';
import { RocksStore } from '@memplane/rocks';
import { ScratchFolder, type Seeded, testSeed } from '@memplane/testkit';
import { WholePieces } from '../domain/set-pieces.ts';
import { TestReplica } from '../domain/test-replica.ts';
import { EmbeddedStore } from './embedded-store.ts';
import * as pieceKeys from './piece-keys.ts';

const STEPS = 60;
const REF = { tenant: 'default', name: 's' };
const random = testSeed('embedded pieces');

interface World {
  readonly path: string;
  readonly store: EmbeddedStore;
  readonly replica: TestReplica;
}

async function started(path: string): Promise<World> {
  const store = await EmbeddedStore.open({ dir: path });
  const replica = await TestReplica.start({
    id: 'a',
    store,
    now: Date.now,
    newIncarnation: () => randomBytes(16).toString('hex'),
    told: () => {},
  });
  return { path, store, replica };
}

async function within(use: (world: World) => Promise<void>): Promise<void> {
  using folder = new ScratchFolder('embedded-pieces');
  const world = await started(folder.path);
  await use(world);
  await world.store.close();
}

const some = (count: number) => {
  const from = random.int(0, 999);
  return Array.from({ length: count }, (_, i) => `e${(from + i) % 1_000}`);
};

describe('pieces in a folder', () => {
  it('are those of the set, whatever is done to it', () =>
    within(async ({ store, replica }) => {
      for (let step = 0; step < STEPS; step++) {
        const type = random.pick(['set-add', 'set-add', 'set-add', 'set-remove'] as const);
        const isReset = random.chance(0.05);
        const elements = isReset ? [] : some(random.pick([1, 20, 300]));
        await replica.ask({ type: isReset ? 'set-reset' : type, name: 's', elements });
        await checkPieces(store, random);
      }
    }));

  it('are apart from what is remembered of a counter that had the name', () =>
    within(async ({ store, replica }) => {
      const increment = { type: 'increment', name: 's', by: 1, opId: 'once' } as const;
      await replica.ask(increment);
      await replica.ask({ type: 'counter-reset', name: 's' });
      await replica.ask({ type: 'set-add', name: 's', elements: some(500) });
      await checkPieces(store, random);
      await replica.ask({ type: 'set-reset', name: 's' });
      assert.equal((await replica.ask(increment)).outcome.flag, true, 'it counted before');
    }));

  it('of a set that nobody kept any of are made when it is written next', () =>
    within(async ({ path, store: before, replica: writer }) => {
      await writer.ask({ type: 'set-add', name: 's', elements: some(500) });
      await before.close();
      const rocks = await RocksStore.open(path);
      const batch = rocks.batch();
      pieceKeys.dropPieces(batch, REF);
      await rocks.write(batch);
      await rocks.close();
      const { replica, store } = await started(path);
      assert.equal(await store.pieces.digests(REF, ['']), undefined);
      assert.equal(await store.pieces.below(REF, [''], 10), undefined);
      await replica.ask({ type: 'set-add', name: 's', elements: some(1) });
      await checkPieces(store, random);
      await store.close();
    }));

  it('are not told where they are not those of the set', () =>
    within(async ({ store, replica }) => {
      await replica.ask({ type: 'set-add', name: 's', elements: ['x', ...some(500)] });
      const hash = elementHash('x');
      const kept = hash.slice(0, pieceKeys.KEPT_DIGITS);
      const row = pieceKeys.elementKey(REF, hash);
      const record = await store.loadOwnRecord(row);
      assert.ok(record);
      const other = Buffer.from(record);
      other.write('y', other.indexOf('x'));
      await store.saveOwnRecord(row, other);
      await assert.rejects(store.pieces.below(REF, [kept], 10), { code: 'storage_damaged' });
      await assert.rejects(store.pieces.digests(REF, [hash.slice(0, 5)]), {
        code: 'storage_damaged',
      });
      await store.saveOwnRecord(
        pieceKeys.sumKey(REF, kept),
        pieceKeys.sumRow({ count: 1, digest: 7n }),
      );
      assert.equal(await store.pieces.digests(REF, ['']), undefined);
    }));

  it('go when the set is dropped', () =>
    within(async ({ store, replica }) => {
      await replica.ask({ type: 'set-add', name: 's', elements: some(500) });
      await store.discard('set', REF);
      const { summaries = [] } = (await store.pieces.digests(REF, [''])) ?? {};
      assert.equal(summaries[0]?.children.size, 0);
      assert.equal(await store.loadOwnRecord(pieceKeys.markKey(REF)), undefined);
    }));
});

/** By prefixes of any length, against those of the whole set. */
async function checkPieces(store: EmbeddedStore, from: Seeded): Promise<void> {
  const { set } = await store.state(REF);
  const whole = new WholePieces(set ?? emptySet());
  const hash = elementHash(`e${from.int(0, 999)}`);
  const prefixes = ['', hash.slice(0, from.int(1, 6)), hash];
  const digests = await store.pieces.digests(REF, prefixes.slice(0, 2));
  assert.deepEqual(digests, whole.digests(prefixes.slice(0, 2)));
  for (const [index, prefix] of prefixes.entries()) {
    const rest = prefixes.slice(index);
    const found = await store.pieces.below(REF, rest, 1);
    assert.deepEqual(found?.pieces.get(prefix), whole.below(rest, 1).pieces.get(prefix));
    assert.deepEqual(found, whole.below(rest, 1));
  }
}
