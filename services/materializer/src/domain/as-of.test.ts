import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeToken } from '@memplane/contracts';
import { parseAsOf, parseTime } from './as-of.ts';
import { parseCause } from './causation.ts';

const token = encodeToken({
  logId: '0c7a4d0e-6f2b-4c59-9d3e-5a1b2c3d4e5f',
  epoch: 0,
  offsets: new Map([[1, 2]]),
});

test('a point in time is read in each of its forms', () => {
  assert.deepEqual(parseAsOf('offset:17', 'f'), { kind: 'offset', epoch: undefined, offset: 17 });
  assert.deepEqual(parseAsOf('offset:2.17', 'f'), { kind: 'offset', epoch: 2, offset: 17 });
  assert.deepEqual(parseAsOf('event:offset:1', 'f'), { kind: 'event', id: 'offset:1' });
  assert.deepEqual(parseAsOf('order:17', 'f'), { kind: 'event', id: 'order:17' });
  assert.equal(parseAsOf(token, 'f').kind, 'token');
  assert.equal(parseAsOf(`token:${token}`, 'f').kind, 'token');
  const time = { kind: 'time', timeMs: Date.UTC(2026, 0, 2, 1, 4, 5) };
  assert.deepEqual(parseAsOf('2026-01-02T03:04:05+02:00', 'f'), time);
  assert.deepEqual(parseAsOf('time:2026-01-02t01:04:05z', 'f'), time);
});

test('what is none is refused by name', () => {
  for (const text of [
    'offset:',
    'offset:-1',
    'offset:1.2.3',
    'offset:999999999999999',
    'time:now',
  ]) {
    assert.throws(() => parseAsOf(text, 'query.asOf'), {
      code: 'invalid_as_of',
      field: 'query.asOf',
    });
  }
  assert.throws(() => parseAsOf('event:', 'f'), { code: 'invalid_as_of' });
  assert.throws(() => parseAsOf('mpt_junk', 'f'), { code: 'invalid_token' });
});

test('a time is a real one', () => {
  assert.equal(parseTime('2026-02-30T00:00:00Z'), undefined);
  assert.equal(parseTime('2026-13-01T00:00:00Z'), undefined);
  assert.equal(parseTime('2026-01-01'), undefined);
  assert.equal(parseTime('1969-12-31T23:59:59Z'), 0);
  assert.equal(parseTime('2026-01-01T00:00:00.1239Z'), Date.UTC(2026, 0, 1) + 123);
});

test('a cause is an id, or an id of a named entity', () => {
  assert.deepEqual(parseCause('a#b'), { id: 'a#b' });
  assert.deepEqual(parseCause('user/1#a#b'), { id: 'a#b', entity: 'user/1' });
  assert.equal(parseCause('user/1#'), undefined);
  assert.equal(parseCause('x'.repeat(200)), undefined);
});
