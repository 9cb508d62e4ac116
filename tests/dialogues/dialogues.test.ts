import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type EntityView,
  expectStatus,
  Fold,
  figure,
  LyingProxy,
  Plane,
  planeDigests,
  readAppliedEnds,
  readDialogues,
  readLog,
  removeDerivedStores,
  ScratchFolder,
  testSeed,
} from '@memplane/testkit';
import {
  differingStates,
  importInOrder,
  importShuffled,
  importUntilCut,
} from './dialogue-import.ts';

const EVENTS = 10_930;
const STATES = 5_465;
const { events, expected } = readDialogues();

test('the dialogues are the ones that are meant', () => {
  assert.equal(events.length, EVENTS);
  assert.equal(expected.length, STATES);
});

test('imported, imported again, and rebuilt from the log: every state as annotated', async () => {
  using folder = new ScratchFolder('dialogues');
  await using first = await Plane.start({ dataDir: folder.path });
  const started = performance.now();
  const imported = await importInOrder(first.ingest, events);
  figure('dialogues imported in', Math.round(performance.now() - started), 'ms');
  assert.deepEqual([imported.accepted, imported.duplicates], [EVENTS, 0]);
  assert.deepEqual(await differingStates(first.materializer, expected), []);
  await assertEachAppliedOnce(first);

  const before = await planeDigests(first);
  const again = await importInOrder(first.ingest, events);
  assert.deepEqual([again.accepted, again.duplicates], [EVENTS, EVENTS]);
  assert.deepEqual(await planeDigests(first), before, 'a second import changes nothing');
  assert.deepEqual(await differingStates(first.materializer, expected), []);

  assert.equal((await first.stop()).code, 0, first.logTail());
  const removed = removeDerivedStores(folder.path);
  assert.ok(removed.length > 0, 'there were derived stores to remove');
  await using rebuilt = await first.again();
  await readAppliedEnds(rebuilt.materializer);
  assert.deepEqual(await planeDigests(rebuilt), before, 'rebuilt, the stores are equal');
  assert.deepEqual(await differingStates(rebuilt.materializer, expected), []);
});

test('killed in mid-import, three times, and gone on: every state as annotated', async () => {
  const random = testSeed('dialogues, killed');
  using folder = new ScratchFolder('dialogues-killed');
  let plane = await Plane.start({ dataDir: folder.path });
  try {
    let done = 0;
    for (let kills = 0; kills < 3; kills++) {
      const cutAt = random.int(500, 3_000);
      const rest = events.slice(done);
      const current = plane;
      let killed: Promise<void> | undefined;
      done += await importUntilCut(current.ingest, rest, random.int(1, 60), (sent) => {
        if (sent >= cutAt) killed ??= current.kill();
      });
      assert.ok(killed, 'the import was cut');
      await killed;
      plane = await current.again();
    }
    await importInOrder(plane.ingest, events.slice(done), random.int(1, 500));
    assert.deepEqual(await differingStates(plane.materializer, expected), []);
    await assertEachAppliedOnce(plane);
  } finally {
    await plane[Symbol.asyncDispose]();
  }
});

test('shuffled across entities over 8 connections: every state as annotated', async () => {
  const random = testSeed('dialogues, shuffled');
  using folder = new ScratchFolder('dialogues-shuffled');
  await using plane = await Plane.start({ dataDir: folder.path });
  await importShuffled(plane.ingest, events, 8, random);
  assert.deepEqual(await differingStates(plane.materializer, expected), []);
  await assertEachAppliedOnce(plane);

  // The judge itself: one wrong value in one of the answers has to be found.
  const victim = expected[random.int(0, STATES - 1)]!;
  await using liar = await LyingProxy.before(plane.materializer, ({ path }, truth) => {
    if (!path.includes(`${encodeURIComponent(`event:${victim.after}`)}&`)) return undefined;
    const view = JSON.parse(truth.text) as EntityView;
    const attributes = { ...view.attributes, Planted_1: {} };
    return { ...truth, text: JSON.stringify({ ...view, attributes }) };
  });
  const sample = [...random.shuffle(expected).slice(0, 50), victim];
  const found = new Set(await differingStates(liar.url, sample));
  assert.equal(found.size, 1);
  assert.ok([...found][0]?.includes(victim.after));
});

async function assertEachAppliedOnce(plane: Plane): Promise<void> {
  const fold = new Fold();
  const ends = await readAppliedEnds(plane.materializer);
  for (const record of await readLog(plane.materializer, ends)) fold.apply(record);
  assert.equal(fold.first.size, EVENTS);
  assert.equal(fold.rejected, 0);
  for (const folded of fold.entities.values()) {
    const url = `${plane.materializer}/v1/entities/${folded.entity}`;
    const view = await expectStatus<EntityView>(200, 'GET', url);
    assert.equal(view.sequence, folded.sequence, folded.entity);
  }
}
