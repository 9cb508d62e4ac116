import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BroadcastQueue, retransmits } from './broadcast-queue.ts';

const textOf = (taken: readonly Uint8Array[]) =>
  taken.map((bytes) => Buffer.from(bytes).toString());

test('each is sent λ·⌈log10(n + 1)⌉ times', () => {
  assert.deepEqual(
    [1, 9, 10, 99, 100, 999].map((n) => retransmits(4, n)),
    [4, 4, 8, 8, 12, 12],
  );
  const queue = new BroadcastQueue(10);
  queue.put('a', Buffer.from('a'));
  let sends = 0;
  while (queue.take(100, retransmits(3, 10)).length > 0) sends += 1;
  assert.equal(sends, 6);
  assert.equal(queue.size, 0);
});

test('the least sent go first, and what does not fit makes room for what does', () => {
  const queue = new BroadcastQueue(10);
  queue.put('old', Buffer.from('old'));
  assert.deepEqual(textOf(queue.take(10, 5)), ['old']);
  queue.put('large', Buffer.from('large one'));
  queue.put('new', Buffer.from('new'));
  assert.deepEqual(textOf(queue.take(7, 5)), ['new', 'old']);
  assert.deepEqual(textOf(queue.take(16, 5, 2)), ['large one', 'new']);
});

test('a newer one about the same subject takes the place of the older', () => {
  const queue = new BroadcastQueue(10);
  const ended: string[] = [];
  queue.put('m', Buffer.from('suspect'), () => ended.push('suspect'));
  queue.take(100, 5);
  queue.put('m', Buffer.from('alive'), () => ended.push('alive'));
  assert.deepEqual(ended, ['suspect']);
  assert.deepEqual(textOf(queue.take(100, 1)), ['alive']);
  assert.deepEqual(ended, ['suspect', 'alive']);
});

test('a full queue pushes out the most sent, and counts it', () => {
  let pushedOut = 0;
  const queue = new BroadcastQueue(2, () => {
    pushedOut += 1;
  });
  queue.put('a', Buffer.from('a'));
  queue.take(1, 9);
  queue.put('b', Buffer.from('b'));
  queue.put('c', Buffer.from('c'));
  assert.equal(pushedOut, 1);
  assert.deepEqual(textOf(queue.take(9, 9)), ['b', 'c']);
});

const step = fc.oneof(
  fc.record({ put: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'), bytes: fc.nat({ max: 40 }) }),
  fc.record({ take: fc.nat({ max: 120 }) }),
);

test('it stays within its bounds, sends none too often and the newest last', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const queue = new BroadcastQueue(4);
      const sends = new Map<string, number>();
      const latest = new Map<string, string>();
      for (const [i, action] of steps.entries()) {
        if ('put' in action) {
          const text = `${action.put}${i}`.padEnd(action.bytes, '.');
          latest.set(action.put, text);
          queue.put(action.put, Buffer.from(text));
        } else {
          const taken = textOf(queue.take(action.take, 3, 1));
          assert.ok(taken.reduce((sum, text) => sum + text.length + 1, 0) <= action.take);
          assert.equal(new Set(taken.map((text) => text[0])).size, taken.length);
          for (const text of taken) {
            assert.equal(latest.get(text[0]!), text);
            sends.set(text, (sends.get(text) ?? 0) + 1);
            assert.ok(sends.get(text)! <= 3);
          }
        }
        assert.ok(queue.size <= 4);
      }
    }),
  );
});
