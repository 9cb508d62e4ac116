import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { ALL, folders, LINES, SmallIndex } from '../testing/small-index.ts';
import { Database } from './database.ts';

/** Far longer than any test. */
const commitIntervalMs = 60_000;
const COMMITTED = 200;

test('what is not committed is found, and after a crash the index goes on before it', async (t) => {
  const place = folders(t);
  const expected = new SmallIndex(place('never')).apply(LINES).answers();
  const index = new SmallIndex(place('live'), { commitIntervalMs });
  index.apply(COMMITTED).generation.commit();
  assert.deepEqual(index.apply(LINES).answers(), expected);
  // What a process leaves that is killed here.
  cpSync(place('live'), place('killed'), { recursive: true });
  const again = new SmallIndex(place('killed'), { commitIntervalMs });
  assert.deepEqual([again.damaged, again.applied], [0, COMMITTED - 1]);
  assert.deepEqual(again.apply(LINES).answers(), expected);
  await again.generation.close();
  assert.deepEqual(new SmallIndex(place('killed')).answers(), expected);
});

test('a commit is made when it is due, by what is applied next or by the upkeep', async (t) => {
  const place = folders(t);
  const index = new SmallIndex(place('live'), { commitIntervalMs: 1 });
  const committed = (name: string) => {
    cpSync(place('live'), place(name), { recursive: true });
    return new SmallIndex(place(name)).applied;
  };
  index.apply(16);
  await new Promise((resolve) => setTimeout(resolve, 5));
  index.generation.maintain();
  assert.equal(committed('by upkeep'), 15);
});

test('when a commit fails, all since the last one is applied again', (t) => {
  const place = folders(t);
  const expected = new SmallIndex(place('never')).apply(LINES).answers();
  const index = new SmallIndex(place('live'), { commitIntervalMs });
  const { generation } = index;
  const told: unknown[] = [];
  generation.onWentBack = (error) => told.push(error);
  index.apply(COMMITTED).generation.commit();
  index.apply(LINES - 50);
  const failing = t.mock.method(Database.prototype, 'commit', () => {
    throw new MemplaneError('storage_full', 'no room');
  });
  assert.throws(() => generation.commit(), { code: 'storage_full' });
  assert.equal(index.applied, COMMITTED - 1);
  assert.equal(told.length, 1);
  const next = { partition: 0, lines: ALL.slice(LINES - 50), after: LINES - 51 };
  assert.throws(() => generation.applyAll([next]), { code: 'storage_unavailable' });
  assert.equal(index.applied, COMMITTED - 1);
  // While it is in doubt, nothing is taken for applied that is not committed.
  assert.throws(() => index.apply(LINES), { code: 'storage_full' });
  assert.equal(index.applied, COMMITTED - 1);
  failing.mock.restore();
  assert.deepEqual(index.apply(LINES).answers(), expected);
});

test('an index closes though its last commit fails, and goes on from the one before', async (t) => {
  const place = folders(t);
  const expected = new SmallIndex(place('never')).apply(LINES).answers();
  const index = new SmallIndex(place('live'), { commitIntervalMs });
  index.apply(COMMITTED).generation.commit();
  index.apply(LINES);
  const failing = t.mock.method(Database.prototype, 'commit', () => {
    throw new MemplaneError('storage_full', 'no room');
  });
  await index.generation.close();
  failing.mock.restore();
  const again = new SmallIndex(place('live'));
  assert.deepEqual([again.damaged, again.applied], [0, COMMITTED - 1]);
  assert.deepEqual(again.apply(LINES).answers(), expected);
});
