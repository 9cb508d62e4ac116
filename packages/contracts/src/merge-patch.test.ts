import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Json } from './event.ts';
import { mergePatch } from './merge-patch.ts';

/** RFC 7396, Appendix A: original, patch, result. */
const RFC_CASES: [Json, Json, Json][] = [
  [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
  [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
  [{ a: 'b' }, { a: null }, {}],
  [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
  [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
  [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
  [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
  [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
  [
    ['a', 'b'],
    ['c', 'd'],
    ['c', 'd'],
  ],
  [{ a: 'b' }, ['c'], ['c']],
  [{ a: 'foo' }, null, null],
  [{ a: 'foo' }, 'bar', 'bar'],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: 'b', c: null }, { a: 'b' }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];

test("the RFC's own cases", () => {
  for (const [target, patch, expected] of RFC_CASES) {
    assert.deepEqual(mergePatch(target, patch), expected, JSON.stringify([target, patch]));
  }
});

const key = fc.constantFrom('a', 'b', 'c', '__proto__', 'constructor');
const { value: json } = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<Json[]>(null, 1, 'x', true),
    fc.array(tie('value'), { maxLength: 2 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 4 }).map(objectOf),
  ),
}));
const patches = fc.array(fc.tuple(key, json), { maxLength: 4 }).map(objectOf);

/** As a JSON parser makes it: `__proto__` is an own member. */
function objectOf(entries: [string, Json][]): Json {
  const members = new Map(entries.map(([name, value]) => [name, JSON.stringify(value)]));
  const text = [...members].map(([name, value]) => `${JSON.stringify(name)}:${value}`);
  return JSON.parse(`{${text.join()}}`) as Json;
}

/** The algorithm of RFC 7396, section 2, over maps. */
type Model = Map<string, Model> | string;
const modelOf = (value: Json | undefined): Model =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? new Map(Object.keys(value).map((name) => [name, modelOf(value[name])]))
    : JSON.stringify(value);
function modelMerge(target: Model | undefined, patch: Model): Model {
  if (!(patch instanceof Map)) return patch;
  const result = target instanceof Map ? new Map(target) : new Map<string, Model>();
  for (const [name, value] of patch) {
    if (value === 'null') result.delete(name);
    else result.set(name, modelMerge(result.get(name), value));
  }
  return result;
}

test('it agrees with the algorithm of the RFC, changes nothing and pollutes nothing', () => {
  fc.assert(
    fc.property(json, fc.oneof(patches, json), (target, patch) => {
      const before = JSON.stringify([target, patch]);
      const result = mergePatch(target, patch);
      assert.deepEqual(modelOf(result), modelMerge(modelOf(target), modelOf(patch)));
      assert.equal(JSON.stringify([target, patch]), before);
      assert.equal(Object.keys(Object.prototype).length, 0);
      if (typeof result === 'object' && result !== null && !Array.isArray(result)) {
        assert.equal(Object.getPrototypeOf(result), Object.prototype);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('a patch applied twice changes nothing the second time, and shares what it leaves', () => {
  fc.assert(
    fc.property(json, patches, (target, patch) => {
      const once = mergePatch(target, patch);
      const twice = mergePatch(once, patch);
      assert.deepEqual(modelOf(twice), modelOf(once));
    }),
  );
  const target: Json = { a: { x: [1] }, b: { y: 2 } };
  const result = mergePatch(target, { b: { y: 3 } }) as { [key: string]: Json };
  assert.equal(result['a'], (target as { [key: string]: Json })['a']);
  assert.equal(mergePatch(target, { b: { y: 2 }, c: null }), target);
  assert.equal(mergePatch(target, {}), target);
});
