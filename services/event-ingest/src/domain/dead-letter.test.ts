import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type DeadLetter, readLetter, storedLetter } from './dead-letter.ts';

test('a dead letter is read as it was kept, byte for byte', () => {
  const letter: DeadLetter = {
    reason: { code: 'invalid_event', detail: 'why', field: 'message.data' },
    topic: 'agent-inbox',
    key: 'user/1',
    partition: 3,
    offset: 7,
    timestampMs: 9,
    deadAt: '2026-01-31T09:30:00.000Z',
    bytes: Buffer.from([0, 255, 34, 10]),
  };
  const envelope = (data: unknown) => Buffer.from(JSON.stringify({ specversion: '1.0', data }));
  assert.deepEqual(readLetter(envelope(storedLetter(letter)), 'user/1'), letter);
  const bare = { ...letter, key: undefined, partition: undefined, offset: undefined };
  assert.deepEqual(readLetter(envelope(storedLetter(bare)), ''), bare);
});

test('what others put there is shown as it is', () => {
  for (const text of ['not JSON', 'null', '{"data":{"formatVersion":9}}']) {
    const { reason, bytes, key } = readLetter(Buffer.from(text), 'k');
    assert.deepEqual([reason.code, bytes.toString(), key], ['unknown', text, 'k']);
  }
});
