import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { prepareInboxEvent, readInboxEvent } from './inbox-event.ts';
import type { BodyOrder } from './prepare-body.ts';

const ORDER: BodyOrder = {
  tenant: 'default',
  dimensions: 4,
  defaultSource: 'anonymous',
  now: '2026-01-31T09:30:00.000Z',
  traceparent: undefined,
};
const TRACE = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
const PLACE = 'agent-inbox.3.7.1';

/** As a sidecar wraps what is published to it. */
const wrapped = (data: unknown, more: object = {}) => ({
  specversion: '1.0',
  id: 'made-by-the-sidecar',
  source: 'billing',
  type: 'com.dapr.event.sent',
  datacontenttype: 'application/json',
  time: '2026-01-31T09:29:59Z',
  topic: 'agent-inbox',
  pubsubname: 'pubsub',
  traceid: TRACE,
  traceparent: TRACE,
  tracestate: '',
  data,
  ...more,
});

function eventOf(message: unknown): Record<string, unknown> {
  const bytes = Buffer.from(typeof message === 'string' ? message : JSON.stringify(message));
  const { events } = prepareInboxEvent(readInboxEvent(bytes, PLACE), ORDER);
  assert.equal(events.length, 1);
  return JSON.parse(events[0]?.value.toString() ?? '');
}

function digestOf(message: unknown): unknown {
  return eventOf(message)['digest'];
}

test('the short form in an envelope: its own id and source win, else the envelope has them', () => {
  const short = { type: 'Paid', entity: 'user/42', data: { n: 1 } };
  const bare = eventOf(wrapped(short));
  assert.equal(bare['id'], 'made-by-the-sidecar');
  assert.equal(bare['source'], 'billing');
  assert.equal(bare['type'], 'Paid');
  assert.equal(bare['subject'], 'user/42');
  assert.equal(bare['traceparent'], TRACE);
  assert.deepEqual(bare['data'], { data: { n: 1 } });
  const own = eventOf(wrapped({ ...short, id: 'own', source: 'me' }));
  assert.deepEqual([own['id'], own['source']], ['own', 'me']);
});

test('what the envelope fills in is not part of what was said', () => {
  const short = { id: 'e', type: 'Paid', entity: 'user/42' };
  const digest = digestOf(short);
  assert.equal(digestOf(wrapped(short)), digest);
  assert.equal(digestOf(wrapped(short, { id: 'other', source: 'other' })), digest);
  assert.notEqual(digestOf(wrapped({ ...short, source: 'me' })), digest);
});

test('the short form without an envelope is named by its place', () => {
  const event = eventOf({ type: 'Paid', entity: 'user/42' });
  assert.deepEqual([event['id'], event['source']], [PLACE, 'anonymous']);
});

test("other teams' CloudEvents come in with their own members", () => {
  const own = wrapped({ amount: 3 }, { id: 'i', type: 'InvoicePaid', subject: 'user/42' });
  const event = eventOf(own);
  assert.deepEqual(
    [event['id'], event['source'], event['type'], event['subject'], event['time']],
    ['i', 'billing', 'InvoicePaid', 'user/42', '2026-01-31T09:29:59Z'],
  );
  assert.deepEqual(event['data'], { data: { amount: 3 } });
  assert.deepEqual(eventOf({ ...own, data: 'text' })['data'], { data: 'text' });
  const meant = { data: 1, attributes: { a: 1 }, memory: { id: 'm', text: 't' } };
  assert.deepEqual(eventOf({ ...own, data: meant })['data'], meant);
  assert.deepEqual(eventOf({ ...own, data: undefined })['data'], {});
});

test('what is no event is refused for good, and the fault is named', () => {
  const short = { type: 'Paid', entity: 'user/42' };
  const cases: readonly [unknown, string, string][] = [
    ['not JSON', 'invalid_json', 'message'],
    ['"text"', 'invalid_event', 'message'],
    ['[]', 'invalid_event', 'message'],
    ['null', 'invalid_event', 'message'],
    [[short], 'invalid_event', 'message'],
    [wrapped([short]), 'invalid_event', 'message.data'],
    [wrapped(JSON.stringify(short)), 'invalid_event', 'message.data'],
    [wrapped(undefined, { data_base64: 'e30=' }), 'invalid_event', 'message.data'],
    [wrapped({ ...short, type: 5 }), 'invalid_event', 'message.data.type'],
    [wrapped({ ...short, more: 5 }), 'invalid_event', 'message.data.more'],
    [wrapped({ type: 'Paid' }), 'invalid_event', 'message.data.entity'],
    [wrapped({ ...short, entity: 'user 42' }), 'invalid_event', 'message.data.entity'],
    [
      wrapped({ ...short, expectedSequence: '1' }),
      'invalid_event',
      'message.data.expectedSequence',
    ],
    [wrapped({ ...short, data: 'x'.repeat(300_000) }), 'event_too_large', 'message.data.data'],
    [
      wrapped({}, { subject: 'user/42', type: 'T', extension: 1 }),
      'invalid_event',
      'message.extension',
    ],
    [{ ...short, entity: 5 }, 'invalid_event', 'message.entity'],
  ];
  for (const [message, code, field] of cases) {
    assert.throws(
      () => eventOf(message),
      (error) => {
        assert.ok(error instanceof MemplaneError, String(error));
        assert.deepEqual([error.code, error.field], [code, field]);
        return !error.transient;
      },
      JSON.stringify(message)?.slice(0, 100),
    );
  }
  assert.throws(() => readInboxEvent(Buffer.from([0x22, 0xff, 0x22]), PLACE), {
    code: 'invalid_encoding',
  });
});
