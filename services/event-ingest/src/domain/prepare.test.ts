import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { LIMITS, logEventSchema, shortEventSchema } from '@memplane/contracts';
import canonicalize from 'canonicalize';
import fc from 'fast-check';
import { prepareEvent } from '../testing.ts';
import { HLC_AT } from './prepare.ts';
import { fromCloudEvent, type SentEvent } from './sent-event.ts';

const CONTEXT = {
  tenant: 'default',
  defaultSource: 'anonymous',
  now: '2026-01-31T09:30:00.000Z',
  traceparent: undefined,
  newId: () => 'made',
};

const word = fc.string({ minLength: 1, maxLength: 20, unit: 'binary' });
const json = fc.jsonValue({ maxDepth: 3 }).filter((v) => !JSON.stringify(v).includes('__proto__'));
const object = fc.dictionary(
  fc.string({ maxLength: 6 }).filter((k) => k !== '__proto__'),
  json,
);
const sentEvent = fc.record(
  {
    type: word,
    entity: fc.constantFrom('user/42', 'agent/7', 'a.b~c@d-e_/x'),
    id: word,
    source: word,
    time: fc.constantFrom('2026-01-31T09:30:00Z', '2026-01-31T09:30:00.5+02:00'),
    data: json,
    attributes: object,
    memory: fc.record({ id: word, text: fc.string(), metadata: object }, { requiredKeys: ['id'] }),
    correlationId: word,
    causationId: word,
  },
  { requiredKeys: ['type', 'entity'] },
) as unknown as fc.Arbitrary<SentEvent>;

function readBack(value: Buffer) {
  return JSON.parse(value.toString('utf8'));
}

test('the short form becomes a CloudEvent that holds all of it, and what was filled in', () => {
  fc.assert(
    fc.property(sentEvent, (sent) => {
      const prepared = prepareEvent(sent, CONTEXT, 'body');
      const event = readBack(prepared.value);
      const digest = createHash('sha256')
        .update(canonicalize(sent) ?? '')
        .digest();
      assert.equal(prepared.digest, digest.toString('base64url'));
      assert.ok(prepared.digest.startsWith(prepared.contentKey));
      logEventSchema.parse(event);
      const { data, attributes, memory, ...rest } = sent;
      assert.deepEqual(event, {
        specversion: '1.0',
        hlc: '000000000000-0000',
        id: rest.id ?? 'made',
        type: rest.type,
        source: rest.source ?? 'anonymous',
        subject: rest.entity,
        time: rest.time ?? CONTEXT.now,
        datacontenttype: 'application/json',
        tenant: 'default',
        partitionkey: rest.entity,
        zone: 'eventual',
        digest: digest.toString('base64url'),
        ...(rest.correlationId === undefined ? {} : { correlationid: rest.correlationId }),
        ...(rest.causationId === undefined ? {} : { causationid: rest.causationId }),
        data: JSON.parse(JSON.stringify({ data, attributes, memory })),
      });
    }),
    { numRuns: 300 },
  );
});

test('a CloudEvent that says the same has the same digest', () => {
  fc.assert(
    fc.property(sentEvent, fc.string({ minLength: 1 }), (sent, source) => {
      const whole = { id: 'a', ...sent, source };
      const { entity, data, attributes, memory, correlationId, causationId, ...rest } = whole;
      const payload = Object.fromEntries(
        Object.entries({ data, attributes, memory }).filter(([, member]) => member !== undefined),
      );
      const cloud = fromCloudEvent({
        specversion: '1.0',
        subject: entity,
        correlationid: correlationId,
        causationid: causationId,
        data: payload,
        ...rest,
      } as unknown as Parameters<typeof fromCloudEvent>[0]);
      const a = prepareEvent(whole, CONTEXT, 'body');
      const b = prepareEvent(cloud, CONTEXT, 'body');
      assert.equal(b.contentKey, a.contentKey);
      assert.equal(b.idKey, a.idKey);
      assert.deepEqual(readBack(b.value), readBack(a.value));
    }),
  );
});

test('the digest does not depend on the order of keys, but on every member', () => {
  const sent = { id: 'a', type: 'T', entity: 'user/42', data: { a: 1, b: [{ c: 1, d: 2 }] } };
  const same = { data: { b: [{ d: 2, c: 1 }], a: 1 }, entity: 'user/42', type: 'T', id: 'a' };
  const key = (event: SentEvent) => prepareEvent(event, CONTEXT, 'body').contentKey;
  assert.equal(key(same), key(sent));
  for (const other of [
    { ...sent, type: 'U' },
    { ...sent, source: 'anonymous' },
    { ...sent, time: CONTEXT.now },
    { ...sent, data: { a: 1, b: [{ c: 1, d: '2' }] } },
    { ...sent, attributes: {} },
    { ...sent, correlationId: 'x' },
  ]) {
    assert.notEqual(key(other), key(sent));
  }
});

test('another tenant has another key and other identities', () => {
  const sent = { id: 'a', type: 'T', entity: 'user/42' };
  const ours = prepareEvent(sent, CONTEXT, 'body');
  const theirs = prepareEvent(sent, { ...CONTEXT, tenant: 'acme' }, 'body');
  assert.equal(theirs.key, 'acme:user/42');
  assert.notEqual(theirs.idKey, ours.idKey);
  assert.equal(theirs.contentKey, ours.contentKey);
});

test('the stamp has its place', () => {
  const { value } = prepareEvent({ type: 'T', entity: 'user/42' }, CONTEXT, 'body');
  value.write('0123456789ab-cdef', HLC_AT, 17, 'latin1');
  assert.equal(readBack(value).hlc, '0123456789ab-cdef');
});

test('sizes are counted in bytes, at their limits', () => {
  const event = (text: string, more: object = {}): SentEvent =>
    ({
      ...shortEventSchema.parse({ type: 'T', entity: 'user/42', data: text }),
      ...more,
    }) as SentEvent;
  const fits = 'x'.repeat(LIMITS.data_bytes_max - 2);
  prepareEvent(event(fits), CONTEXT, 'body');
  for (const text of [`${fits}x`, 'é'.repeat(LIMITS.data_bytes_max / 2)]) {
    assert.throws(() => prepareEvent(event(text), CONTEXT, 'body[3]'), {
      code: 'event_too_large',
      field: 'body[3].data',
    });
  }
  const attributes = { big: 'x'.repeat(LIMITS.event_bytes_max - LIMITS.data_bytes_max) };
  assert.throws(() => prepareEvent(event(fits, { attributes }), CONTEXT, 'body'), {
    code: 'event_too_large',
    field: 'body',
  });
});
