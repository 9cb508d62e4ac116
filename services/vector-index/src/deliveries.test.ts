import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InboundMessage } from '@memplane/runtime/dapr';
import pino from 'pino';
import { AppliedGate } from './applied-gate.ts';
import { deliveryHandler } from './deliveries.ts';

const message = (partition: number | undefined, offset: number | undefined) =>
  ({
    entryId: `${partition}/${offset}`,
    topic: 'agent-events',
    partition,
    offset,
  }) as InboundMessage;

function world(deliveryWaitMs: number) {
  const applied = new Map<number, number>();
  const nudged: number[] = [];
  const claimed: number[] = [];
  const nudge = (partition: number) => void nudged.push(partition);
  const gate = new AppliedGate({ applied, log: undefined }, 10, { afterMs: 1, nudge });
  const handle = deliveryHandler({
    gate,
    logger: pino({ level: 'silent' }),
    deliveryWaitMs,
    claim: (partition) => void claimed.push(partition),
  });
  const context = { signal: new AbortController().signal, trace: {} as never };
  return {
    nudged,
    claimed,
    apply(partition: number, offset: number) {
      applied.set(partition, offset);
      gate.wake();
    },
    deliver: (...messages: InboundMessage[]) => handle(messages, context),
  };
}

test('a delivery is acknowledged once its partition is applied up to it', async () => {
  const { deliver, apply, nudged, claimed } = world(60_000);
  apply(1, 5);
  let answered = false;
  const answer = deliver(message(1, 3), message(2, 7), message(2, 8)).finally(() => {
    answered = true;
  });
  while (nudged.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(nudged, [2], 'the feed of what lacks is read at once');
  apply(2, 7);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(answered, false, 'not before all of it is stored');
  apply(2, 8);
  assert.deepEqual(await answer, ['SUCCESS', 'SUCCESS', 'SUCCESS']);
  assert.deepEqual(claimed, [1, 2]);
});

test('what is not applied in time comes again, and only that', async () => {
  const { deliver, apply } = world(20);
  apply(0, 9);
  assert.deepEqual(await deliver(message(0, 9), message(3, 0)), ['SUCCESS', 'RETRY']);
});

test('a delivery without a place can tell nothing, and blocks nothing', async () => {
  const { deliver } = world(20);
  assert.deepEqual(await deliver(message(undefined, undefined)), ['SUCCESS']);
});
