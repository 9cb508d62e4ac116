import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LogRecord } from '@memplane/event-log';
import { wholeBatches } from './whole-batches.ts';

function record(offset: number, key: string, zone: string, data = ''): LogRecord {
  const value = Buffer.from(
    `{"id":"a\\",\\"zone\\":\\"x","key":"${key}",${zone},"data":{${data}}}`,
  );
  return { partition: 0, offset, key, value, hlc: 0n };
}

const plain = (offset: number) => record(offset, 'a/1', '"zone":"eventual"');
const strong = (offset: number, sequence: number, end: number, key = 'a/1') =>
  record(offset, key, `"zone":"strong","sequence":${sequence},"batchend":${end}`);
const offsets = (records: readonly LogRecord[]) => records.map(({ offset }) => offset);

test('a batch that goes on is left for the next read', () => {
  const records = [plain(0), strong(1, 1, 2), strong(2, 2, 2), strong(3, 3, 5), strong(4, 4, 5)];
  assert.deepEqual(offsets(wholeBatches(records)), [0, 1, 2]);
  assert.deepEqual(offsets(wholeBatches(records.slice(0, 3))), [0, 1, 2]);
  assert.deepEqual(offsets(wholeBatches(records.slice(0, 2))), [0]);
});

test('what is nothing but the beginning of a batch needs more', () => {
  assert.deepEqual(wholeBatches([strong(3, 3, 5), strong(4, 4, 5)]), []);
});

test('batches of others, and single events, are not touched', () => {
  const single = record(1, 'a/1', '"zone":"strong","sequence":7');
  assert.deepEqual(offsets(wholeBatches([plain(0), single])), [0, 1]);
  const other = [strong(0, 4, 5, 'b/1'), strong(1, 5, 5, 'b/1'), strong(2, 4, 5)];
  assert.deepEqual(offsets(wholeBatches(other)), [0, 1]);
  assert.deepEqual(wholeBatches([]), []);
});

test('what a sender writes into its data is not taken for a batch', () => {
  const data = '"x":1,"zone":"strong","sequence":1,"batchend":9';
  assert.deepEqual(offsets(wholeBatches([record(0, 'a/1', '"zone":"eventual"', data)])), [0]);
});
