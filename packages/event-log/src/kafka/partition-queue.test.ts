import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newRecord } from '../contract.ts';
import { BatchEncoder } from './batch-encoder.ts';
import { AppendCall, PartitionQueue } from './partition-queue.ts';

const BATCH_BYTES_MAX = 64 * 1024;
const someBatches = fc.array(
  fc.array(fc.uint8Array({ maxLength: 6_000 }), { minLength: 1, maxLength: 8 }),
  { minLength: 1, maxLength: 6 },
);

function queueOf(partition: number): PartitionQueue {
  const queue = new PartitionQueue(partition);
  queue.useProducerId(4711n);
  return queue;
}

test('memory that is used again leaves each batch, also one that is sent again, as it would be', () =>
  fc.assert(
    fc.property(someBatches, fc.boolean(), (batches, isLost) => {
      const queue = queueOf(7);
      let sequence = 0;
      for (const values of batches) {
        const fresh = new BatchEncoder();
        for (const [n, value] of values.entries()) {
          const record = { ...newRecord(7, n, ''), value };
          fresh.add(record);
          queue.add(record, new AppendCall(1, 0, 0), 0, BATCH_BYTES_MAX);
        }
        const expected = fresh.finish({ producerId: 4711n, epoch: 0, sequence }, 'none');
        sequence += values.length;
        const sent = queue.take('none')?.bytes ?? Buffer.alloc(0);
        assert.ok(sent.equals(expected));
        if (isLost) {
          queue.retryAfter(0, 0);
          // What waits meanwhile must not be written into the memory of what is on its way.
          queue.add(newRecord(7, 99, 'later'), new AppendCall(1, 0, 0), 0, BATCH_BYTES_MAX);
          assert.ok(queue.take('none')?.bytes.equals(expected));
        }
        queue.acknowledge(0);
        assert.ok(sent.equals(expected), 'what was sent is changed by nobody');
        if (!isLost) continue;
        sequence++;
        queue.take('none');
        queue.acknowledge(0);
      }
    }),
  ));

test('the memory of a batch is kept for the next one, unless it is very large', () => {
  const queue = queueOf(0);
  const take = (bytes: number) => {
    const value = new Uint8Array(bytes);
    queue.add({ ...newRecord(0, 0, ''), value }, new AppendCall(1, 0, 0), 0, 4 * 1024 * 1024);
    const memory = queue.head?.encoder.reuse();
    queue.take('none');
    queue.acknowledge(0);
    return memory;
  };
  const first = take(100_000);
  assert.equal(take(10), first);
  const large = take(1024 * 1024);
  assert.notEqual(take(10), large);
});
