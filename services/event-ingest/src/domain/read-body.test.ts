import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { parseJson } from '@memplane/runtime';
import { checkBody } from './read-body.ts';

const OPTIONS = { tenant: 'default', dimensions: 4 };
const good = { type: 'T', entity: 'user/42' };
const cloud = { specversion: '1.0', id: 'a', type: 'T', source: 's', subject: 'user/42' };

const memory = (more: object) => ({ ...good, memory: { id: 'm', ...more } });
const embedding = (values: unknown, model: unknown = 'm') =>
  memory({ embedding: { model, values } });
const floats = (...values: number[]) =>
  Buffer.from(new Float32Array(values).buffer).toString('base64');
const long = (n: number) => 'x'.repeat(n);

/** What is sent, the code, and the field that the problem names. */
const BAD: readonly (readonly [unknown, string, string])[] = [
  [null, 'invalid_event', 'body'],
  [7, 'invalid_event', 'body'],
  ['text', 'invalid_event', 'body'],
  [true, 'invalid_event', 'body'],
  [{}, 'invalid_event', 'body.type'],
  [{ type: 'T' }, 'invalid_event', 'body.entity'],
  [{ entity: 'user/42' }, 'invalid_event', 'body.type'],
  [{ ...good, type: '' }, 'invalid_event', 'body.type'],
  [{ ...good, type: 5 }, 'invalid_event', 'body.type'],
  [{ ...good, type: null }, 'invalid_event', 'body.type'],
  [{ ...good, type: long(129) }, 'invalid_event', 'body.type'],
  [{ ...good, type: 'é'.repeat(65) }, 'invalid_event', 'body.type'],
  [{ ...good, entity: 'user' }, 'invalid_event', 'body.entity'],
  [{ ...good, entity: 'user/' }, 'invalid_event', 'body.entity'],
  [{ ...good, entity: '/42' }, 'invalid_event', 'body.entity'],
  [{ ...good, entity: 'a/b/c' }, 'invalid_event', 'body.entity'],
  [{ ...good, entity: 'user/..' }, 'invalid_event', 'body.entity'],
  [{ ...good, entity: './42' }, 'invalid_event', 'body.entity'],
  [{ ...good, entity: 'user/a b' }, 'invalid_event', 'body.entity'],
  [{ ...good, entity: 'user/é' }, 'invalid_event', 'body.entity'],
  [{ ...good, entity: 'user/42\n' }, 'invalid_event', 'body.entity'],
  [{ ...good, entity: 'user/%2F' }, 'invalid_event', 'body.entity'],
  [{ ...good, entity: `user/${long(252)}` }, 'invalid_event', 'body.entity'],
  [{ ...good, entity: 42 }, 'invalid_event', 'body.entity'],
  [{ ...good, id: '' }, 'invalid_event', 'body.id'],
  [{ ...good, id: 1 }, 'invalid_event', 'body.id'],
  [{ ...good, id: null }, 'invalid_event', 'body.id'],
  [{ ...good, id: long(129) }, 'invalid_event', 'body.id'],
  [{ ...good, id: '😀'.repeat(33) }, 'invalid_event', 'body.id'],
  [{ ...good, source: '' }, 'invalid_event', 'body.source'],
  [{ ...good, source: long(257) }, 'invalid_event', 'body.source'],
  [{ ...good, time: 'yesterday' }, 'invalid_event', 'body.time'],
  [{ ...good, time: '2026-01-31' }, 'invalid_event', 'body.time'],
  [{ ...good, time: '2026-01-31T09:30Z' }, 'invalid_event', 'body.time'],
  [{ ...good, time: '2026-01-31T09:30:00' }, 'invalid_event', 'body.time'],
  [{ ...good, time: '2026-02-30T09:30:00Z' }, 'invalid_event', 'body.time'],
  [{ ...good, time: '2026-01-31T25:30:00Z' }, 'invalid_event', 'body.time'],
  [{ ...good, time: `2026-01-31T09:30:00.${long(5)}Z` }, 'invalid_event', 'body.time'],
  [{ ...good, time: `2026-01-31T09:30:00.${'1'.repeat(40)}Z` }, 'invalid_event', 'body.time'],
  [{ ...good, time: 1_700_000_000 }, 'invalid_event', 'body.time'],
  [{ ...good, attributes: [] }, 'invalid_event', 'body.attributes'],
  [{ ...good, attributes: null }, 'invalid_event', 'body.attributes'],
  [{ ...good, attributes: 'x' }, 'invalid_event', 'body.attributes'],
  [{ ...good, correlationId: '' }, 'invalid_event', 'body.correlationId'],
  [{ ...good, correlationId: long(513) }, 'invalid_event', 'body.correlationId'],
  [{ ...good, causationId: 3 }, 'invalid_event', 'body.causationId'],
  [{ ...good, subject: 'user/42' }, 'invalid_event', 'body.subject'],
  [{ ...good, hlc: '000000000000-0000' }, 'invalid_event', 'body.hlc'],
  [{ ...good, memory: null }, 'invalid_event', 'body.memory'],
  [{ ...good, memory: {} }, 'invalid_event', 'body.memory.id'],
  [{ ...good, memory: { id: '' } }, 'invalid_event', 'body.memory.id'],
  [memory({ id: long(129) }), 'invalid_event', 'body.memory.id'],
  [memory({ text: 5 }), 'invalid_event', 'body.memory.text'],
  [memory({ text: long(65_537) }), 'invalid_event', 'body.memory.text'],
  [memory({ text: 'é'.repeat(32_769) }), 'invalid_event', 'body.memory.text'],
  [memory({ ttl: 0 }), 'invalid_event', 'body.memory.ttl'],
  [memory({ ttl: -1 }), 'invalid_event', 'body.memory.ttl'],
  [memory({ ttl: 1.5 }), 'invalid_event', 'body.memory.ttl'],
  [memory({ ttl: 1e300 }), 'invalid_event', 'body.memory.ttl'],
  [memory({ metadata: [] }), 'invalid_event', 'body.memory.metadata'],
  [memory({ extra: 1 }), 'invalid_event', 'body.memory.extra'],
  [memory({ embedding: {} }), 'invalid_event', 'body.memory.embedding.model'],
  [embedding([1, 2, 3, 4], ''), 'invalid_event', 'body.memory.embedding.model'],
  [embedding([]), 'invalid_event', 'body.memory.embedding.values'],
  [embedding([1, 2, 3]), 'wrong_dimensions', 'body.memory.embedding.values'],
  [embedding([1, 2, 3, 4, 5]), 'wrong_dimensions', 'body.memory.embedding.values'],
  [embedding([1, 2, '3', 4]), 'invalid_event', 'body.memory.embedding.values[2]'],
  [embedding([1, null, 3, 4]), 'invalid_event', 'body.memory.embedding.values[1]'],
  [embedding([1, 2, 3, 1e39]), 'invalid_event', 'body.memory.embedding.values[3]'],
  [embedding(floats(1, 2, 3)), 'wrong_dimensions', 'body.memory.embedding.values'],
  [embedding(floats(1, Number.NaN, 3, 4)), 'invalid_event', 'body.memory.embedding.values'],
  [embedding(floats(1, 2, 3, -Infinity)), 'invalid_event', 'body.memory.embedding.values'],
  [embedding('AAAA'), 'invalid_event', 'body.memory.embedding.values'],
  [embedding('not base64!'), 'invalid_event', 'body.memory.embedding.values'],
  [{ ...good, expectedSequence: -1 }, 'invalid_event', 'body.expectedSequence'],
  [{ ...good, lease: 'no name', fencingToken: 1 }, 'invalid_event', 'body.lease'],
  [{ ...good, lease: 'l', fencingToken: 0 }, 'invalid_event', 'body.fencingToken'],
  [[good, good, { ...good, entity: 'x' }], 'invalid_event', 'body[2].entity'],
  [[good, null], 'invalid_event', 'body[1]'],
  [[[good]], 'invalid_event', 'body[0]'],
  [[good, embedding([1])], 'wrong_dimensions', 'body[1].memory.embedding.values'],
  [Array.from({ length: 1001 }, () => good), 'invalid_request', 'body'],
  [{ ...cloud, specversion: '0.3' }, 'invalid_event', 'body.specversion'],
  [{ ...cloud, id: undefined }, 'invalid_event', 'body.id'],
  [{ ...cloud, source: undefined }, 'invalid_event', 'body.source'],
  [{ ...cloud, subject: 'x' }, 'invalid_event', 'body.subject'],
  [{ ...cloud, datacontenttype: 'text/plain' }, 'invalid_event', 'body.datacontenttype'],
  [{ ...cloud, tenant: 'other' }, 'invalid_event', 'body.tenant'],
  [{ ...cloud, partitionkey: 'user/43' }, 'invalid_event', 'body.partitionkey'],
  [{ ...cloud, hlc: 'soon' }, 'invalid_event', 'body.hlc'],
  [{ ...cloud, traceparent: 'x' }, 'invalid_event', 'body.traceparent'],
  [{ ...cloud, data: 'text' }, 'invalid_event', 'body.data'],
  [{ ...cloud, data: { other: 1 } }, 'invalid_event', 'body.data.other'],
  [{ ...cloud, sequence: 0 }, 'invalid_event', 'body.sequence'],
  [{ ...cloud, expectedSequence: 1.5 }, 'invalid_event', 'body.expectedSequence'],
  [
    { ...cloud, data: { memory: { id: 'm', embedding: { model: 'm', values: [1] } } } },
    'wrong_dimensions',
    'body.data.memory.embedding.values',
  ],
];

for (const [body, code, field] of BAD) {
  const text = JSON.stringify(body) ?? 'undefined';
  test(`${code} at ${field}: ${text.slice(0, 90)}`, () => {
    assert.throws(
      () => checkBody(parseJson(Buffer.from(text)), OPTIONS),
      (error: unknown) => {
        assert.ok(error instanceof MemplaneError);
        assert.deepEqual({ code: error.code, field: error.field }, { code, field });
        assert.ok(error.message.length > 0 && error.message.length < 1000);
        return true;
      },
    );
  });
}

test('takes both forms, alone or mixed in an array, and none at all', () => {
  const full = {
    ...embedding(floats(1, 2, 3, 4)),
    id: 'a',
    source: 'agent-7',
    time: '2026-01-31T09:30:00.123+01:00',
    data: { any: [1, null, 'x'] },
    attributes: { a: null },
    correlationId: 'run-1',
    causationId: 'user/42#b',
  };
  assert.deepEqual(checkBody(full, OPTIONS)[0]?.sent, full);
  const mixed = checkBody([good, { ...cloud, hlc: '000000000001-0002' }], OPTIONS);
  assert.equal(mixed[1]?.sent.entity, 'user/42');
  assert.equal(mixed[1]?.carried.hlc, '000000000001-0002');
  assert.deepEqual(checkBody([], OPTIONS), []);
  const forgotten = { ...good, memory: { id: 'm', forgotten: true } };
  assert.deepEqual(checkBody(forgotten, OPTIONS)[0]?.sent, forgotten);
});

test('what only strong entities take is handed on', () => {
  const strong = { expectedSequence: 1, lease: 'l', fencingToken: 2 };
  const stamped = { sequence: 3, batchend: 4, zone: 'strong' };
  const [short, full, plain] = checkBody(
    [{ ...good, ...strong }, { ...cloud, ...strong, ...stamped }, good],
    OPTIONS,
  );
  assert.deepEqual([short?.strong, full?.strong, plain?.strong], [strong, strong, undefined]);
});

test('a body of a million wrong things costs no more than one', () => {
  const values = new Array(1_000_000).fill('x');
  const started = performance.now();
  assert.throws(() => checkBody(values, OPTIONS), { code: 'invalid_request' });
  assert.ok(performance.now() - started < 100);
});
