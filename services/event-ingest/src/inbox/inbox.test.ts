import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { createLogger } from '@memplane/runtime';
import type { InboundMessage } from '@memplane/runtime/dapr';
import { ROOT_CONTEXT } from '@opentelemetry/api';
import type { DeadLetterLog } from '../domain/dead-letter.ts';
import type { Ingest } from '../ingest.ts';
import { Inbox } from './inbox.ts';

const MESSAGE: InboundMessage = {
  ...{ entryId: '1', topic: 'agent-inbox', key: 'user/42', partition: 0, offset: 7 },
  ...{ timestampMs: 0, metadata: {} },
  bytes: Buffer.from(JSON.stringify({ type: 'Noted', entity: 'user/42' })),
};

/** Has too much to do for the first tries. */
function inboxThatRefuses(tries: number, code: 'overloaded' | 'views_behind' | 'id_reused') {
  const outcomes: string[] = [];
  let asked = 0;
  const ingest = {
    async append() {
      if (asked++ < tries) throw new MemplaneError(code, 'not now', { retryAfterMs: 1 });
      const place = { partition: 0, offset: 7, hlc: '0', duplicate: false };
      return JSON.stringify({ accepted: [{ id: 'a', entity: 'user/42', ...place }], token: '' });
    },
  };
  const count = { add: (_: number, { outcome }: { outcome: string }) => outcomes.push(outcome) };
  const inbox = new Inbox({
    ingest: ingest as unknown as Ingest,
    deadLetters: {} as DeadLetterLog,
    dimensions: 3,
    now: Date.now,
    metrics: { messages: count, deadLetters: count } as never,
    logger: createLogger('test', 'silent'),
  });
  return { inbox, outcomes, asked: () => asked };
}

test('a message waits while the plane has too much to do', async () => {
  for (const code of ['overloaded', 'views_behind'] as const) {
    const { inbox, outcomes } = inboxThatRefuses(2, code);
    const { signal } = new AbortController();
    await inbox.take(MESSAGE, { trace: ROOT_CONTEXT, signal });
    assert.deepEqual(outcomes, ['slowed', 'slowed', 'appended']);
  }
});

test('it waits as long as the delivery, and then comes again', async () => {
  const { inbox } = inboxThatRefuses(Number.POSITIVE_INFINITY, 'overloaded');
  const signal = AbortSignal.timeout(200);
  const taking = inbox.take(MESSAGE, { trace: ROOT_CONTEXT, signal });
  await assert.rejects(taking, { code: 'overloaded' });
  assert.ok(signal.aborted);
});

test('what is wrong with the message itself is not tried again', async () => {
  const { inbox, asked } = inboxThatRefuses(1, 'id_reused');
  const { signal } = new AbortController();
  const taking = inbox.take(MESSAGE, { trace: ROOT_CONTEXT, signal });
  await assert.rejects(taking, { code: 'id_reused' });
  assert.equal(asked(), 1);
});
