import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Head, startedHead, withEvents } from '../domain/strong/head.ts';
import { CompleteIds } from './complete-ids.ts';

const event = (id: string) => ({ id, digest: `${id}-digest-of-it`, text: '' });
const grown = (head: Head, ids: readonly string[]) =>
  ids.reduce((next, id) => withEvents(next, `n-${id}`, [event(id)]), head);
const idsOf = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => `e${from + i}`);

test('an id is new where all of an entity were seen, and only there', () => {
  const ids = new CompleteIds(10_000);
  let head = grown(startedHead(0, 1), idsOf(0, 100));
  ids.saw('a', head);
  for (const from of [100, 200, 300]) {
    head = grown(head, idsOf(from, 100));
    ids.saw('a', head);
  }
  assert.equal(ids.isNew('a', 'e0', 272), false);
  assert.equal(ids.isNew('a', 'other', 272), true);
  assert.equal(ids.isNew('a', 'other', 401), false, 'what comes after is not known');
  assert.equal(ids.isNew('b', 'other', 0), false);
});

test('a gap, and a beginning that was not seen, leave it to the view', () => {
  const ids = new CompleteIds(10_000);
  const head = grown(startedHead(0, 1), idsOf(0, 10));
  ids.saw('a', head);
  ids.saw('a', grown(head, idsOf(10, 200)));
  assert.equal(ids.isNew('a', 'other', 82), false, 'sixty were not seen');
  ids.saw('b', grown(startedHead(7, 1), idsOf(0, 3)));
  assert.equal(ids.isNew('b', 'other', 7), false);
});

test('what was not used for long is forgotten first', () => {
  const ids = new CompleteIds(100);
  ids.saw('a', grown(startedHead(0, 1), idsOf(0, 60)));
  ids.saw('b', grown(startedHead(0, 1), idsOf(0, 60)));
  assert.equal(ids.isNew('a', 'other', 0), false);
  assert.equal(ids.isNew('b', 'other', 0), true);
});
