import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import type { InboundMessage } from './delivery.ts';
import { inKeyOrder, type KeyOrderedOptions } from './key-ordered.ts';

const message = (n: number, key?: string): InboundMessage => ({
  entryId: String(n),
  topic: 't',
  key,
  partition: 0,
  offset: n,
  timestampMs: 0,
  metadata: {},
  bytes: Buffer.from(String(n)),
});
const context = () => ({ signal: new AbortController().signal, trace: ROOT_CONTEXT });
const transient = () => new MemplaneError('storage_unavailable', 'not now');
const permanent = () => new MemplaneError('invalid_event', 'never');

function ordered(more: Partial<KeyOrderedOptions> & Pick<KeyOrderedOptions, 'handle'>) {
  const dropped: [number, string][] = [];
  const handler = inKeyOrder({
    onDrop: async ({ offset = -1 }, { code }) => void dropped.push([offset, code]),
    keys_max: 8,
    deliveryTimeoutMs: 5_000,
    unexpected_errors_max: 3,
    ...more,
  });
  return { handler, dropped };
}

test('one key is handled in order, others meanwhile', async () => {
  const events: string[] = [];
  const gate = Promise.withResolvers<void>();
  const { handler } = ordered({
    async handle({ offset }) {
      events.push(`begin ${offset}`);
      if (offset === 0) await gate.promise;
      if (offset === 3) gate.resolve();
      events.push(`end ${offset}`);
    },
  });
  const messages = [message(0, 'a'), message(1, 'a'), message(2, 'b'), message(3, 'b')];
  const statuses = await handler(messages, context());
  assert.deepEqual(statuses, ['SUCCESS', 'SUCCESS', 'SUCCESS', 'SUCCESS']);
  // b is through before a, whose second waits for its first.
  assert.deepEqual(events, [
    'begin 0',
    'begin 2',
    'end 2',
    'begin 3',
    'end 3',
    'end 0',
    'begin 1',
    'end 1',
  ]);
});

test('what must come again holds up its key, and nothing else', async () => {
  const handled: number[] = [];
  const { handler, dropped } = ordered({
    async handle({ offset = -1 }) {
      if (offset === 1) throw transient();
      if (offset === 3) throw permanent();
      handled.push(offset);
    },
  });
  const messages = [
    message(0, 'a'),
    message(1, 'a'),
    message(2, 'a'),
    message(3, 'b'),
    message(4, 'b'),
    message(5),
  ];
  const statuses = await handler(messages, context());
  assert.deepEqual(statuses, ['SUCCESS', 'RETRY', 'RETRY', 'DROP', 'SUCCESS', 'SUCCESS']);
  assert.deepEqual(handled.sort(), [0, 4, 5]);
  assert.deepEqual(dropped, [[3, 'invalid_event']]);
});

test('a message is not dropped before its dead letter is kept', async () => {
  const { handler } = ordered({
    handle: async ({ offset }) => {
      if (offset === 0) throw permanent();
    },
    onDrop: async () => {
      throw transient();
    },
  });
  const statuses = await handler([message(0, 'a'), message(1, 'a')], context());
  assert.deepEqual(statuses, ['RETRY', 'RETRY']);
});

test('an unexpected error is tried again a few times, then it is held for poison', async () => {
  let outages = 0;
  const { handler, dropped } = ordered({
    async handle({ offset }) {
      if (offset === 0) throw new TypeError('a bug');
      if (offset === 1 && outages++ < 10) throw transient();
    },
  });
  const seen: string[] = [];
  for (let i = 0; i < 3; i++) seen.push((await handler([message(0, 'a')], context()))[0] ?? '');
  assert.deepEqual(seen, ['RETRY', 'RETRY', 'DROP']);
  assert.deepEqual(dropped, [[0, 'internal']]);
  // An outage says nothing about the message: it comes again for as long as it lasts.
  for (let i = 0; i < 10; i++) {
    assert.deepEqual(await handler([message(1, 'b')], context()), ['RETRY']);
  }
  assert.deepEqual(await handler([message(1, 'b')], context()), ['SUCCESS']);
});

test('a delivery ends in time, and the next one of the key waits for what it left at work', async () => {
  const events: string[] = [];
  const gate = Promise.withResolvers<void>();
  let isFirst = true;
  const { handler } = ordered({
    deliveryTimeoutMs: 50,
    async handle({ offset }) {
      events.push(`begin ${offset}`);
      if (isFirst) {
        isFirst = false;
        await gate.promise;
      }
      events.push(`end ${offset}`);
    },
  });
  const messages = [message(0, 'a'), message(1, 'a'), message(2, 'b')];
  assert.deepEqual(await handler(messages, context()), ['RETRY', 'RETRY', 'SUCCESS']);
  const again = handler(messages.slice(0, 2), context());
  gate.resolve();
  assert.deepEqual(await again, ['SUCCESS', 'SUCCESS']);
  // The first delivery did not go on to its second message.
  assert.deepEqual(
    events.filter((event) => !event.endsWith('2')),
    ['begin 0', 'end 0', 'begin 0', 'end 0', 'begin 1', 'end 1'],
  );
});

test('what is refused to the service, or damaged, is not held against the message', async () => {
  for (const code of ['forbidden', 'unauthorized', 'storage_damaged'] as const) {
    const { handler, dropped } = ordered({
      handle: async () => {
        throw new MemplaneError(code, 'x');
      },
    });
    assert.deepEqual(await handler([message(0, 'a')], context()), ['RETRY'], code);
    assert.deepEqual(dropped, []);
  }
});

test('no more keys are at work than allowed', async () => {
  let now = 0;
  let most = 0;
  const { handler } = ordered({
    keys_max: 3,
    async handle() {
      most = Math.max(most, ++now);
      await new Promise((resolve) => setImmediate(resolve));
      now--;
    },
  });
  const messages = Array.from({ length: 20 }, (_, n) => message(n, `key-${n}`));
  await handler(messages, context());
  assert.equal(most, 3);
});
