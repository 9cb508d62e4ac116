import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { validate } from './validate.ts';

const schema = z.strictObject({
  name: z.string().min(1),
  tags: z
    .array(z.strictObject({ key: z.string() }))
    .max(3)
    .optional(),
  place: z.union([z.strictObject({ x: z.number(), y: z.number() }), z.string()]).optional(),
});

const CASES: readonly (readonly [unknown, string])[] = [
  [{}, 'body.name'],
  [{ name: '' }, 'body.name'],
  [{ name: 'a', other: 1 }, 'body.other'],
  [{ name: 'a', tags: [{ key: 'k' }, { key: 5 }] }, 'body.tags[1].key'],
  [{ name: 'a', tags: [{ key: 'k', more: 1 }] }, 'body.tags[0].more'],
  [{ name: 'a', place: { x: 1, y: 'b' } }, 'body.place.y'],
  [{ name: 'a', place: { x: 1, y: 2, z: 3 } }, 'body.place.z'],
  [null, 'body'],
  [[], 'body'],
];

for (const [value, field] of CASES) {
  test(`names ${field} of ${JSON.stringify(value)}`, () => {
    assert.throws(() => validate(schema, value, 'body'), { code: 'invalid_request', field });
  });
}

test('tells up to ten faults, under the code that it is given', () => {
  const many = { name: 'a', tags: Array.from({ length: 30 }, () => ({ key: 1 })) };
  assert.throws(
    () => validate(schema, many, 'query', 'invalid_event'),
    (error: { code: string; extra: { errors: { field: string }[] } }) => {
      assert.equal(error.code, 'invalid_event');
      assert.ok(error.extra.errors.length <= 10);
      return true;
    },
  );
});

test('an array beyond its bound is refused without looking at its items', () => {
  const tags = new Array(2_000_000).fill(1);
  const started = performance.now();
  assert.throws(() => validate(schema, { name: 'a', tags }, 'body'), { field: 'body.tags' });
  assert.ok(performance.now() - started < 200);
});
