import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { EventLine } from './ports.ts';
import { rowDigest } from './row-digest.ts';

const line = (partition: number, offset: number, digest: string) =>
  ({ partition, offset, event: { digest } }) as EventLine;

test('a row is told apart by its event and by its place', () => {
  const digest = 'Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE';
  const other = 'Zm9vYmFyYmB6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE';
  const all = [
    ...[line(0, 0, digest), line(0, 1, digest), line(1, 0, digest), line(0, 2 ** 40, digest)],
    ...[line(0, 0, other), line(0, 0, ''), line(0, 1, '')],
  ].map((one) => rowDigest(one));
  assert.equal(new Set(all).size, all.length);
  for (const value of all) assert.equal(BigInt.asUintN(64, value), value);
  assert.equal(rowDigest(line(0, 1, digest)), all[1]);
});
