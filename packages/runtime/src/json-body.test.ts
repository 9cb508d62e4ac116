import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '@memplane/contracts';
import fc from 'fast-check';
import { parseJson } from './json-body.ts';

const parse = (text: string | Buffer) => parseJson(Buffer.from(text as string));

test('any JSON comes through unchanged', () => {
  const value = fc.jsonValue({ maxDepth: 6, stringUnit: 'binary' });
  fc.assert(
    fc.property(value, (json) => {
      const text = JSON.stringify(json);
      fc.pre(!text.includes('__proto__'));
      assert.deepEqual(parse(text), JSON.parse(text));
    }),
    { numRuns: 300 },
  );
});

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);

const BAD: readonly (readonly [string | Buffer, string, string])[] = [
  ['', 'invalid_json', 'body'],
  ['{', 'invalid_json', 'body'],
  ['nul', 'invalid_json', 'body'],
  ['{"a":NaN}', 'invalid_json', 'body'],
  ['{"a":1,}', 'invalid_json', 'body'],
  ["{'a':1}", 'invalid_json', 'body'],
  ['"\u0001"', 'invalid_json', 'body'],
  ['1 2', 'invalid_json', 'body'],
  ['\ufeff{}', 'invalid_json', 'body'],
  [Buffer.from([0x22, 0xff, 0x22]), 'invalid_encoding', 'body'],
  [Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'invalid_encoding', 'body'],
  ['{"a":["\\ud800"]}', 'invalid_encoding', 'body.a[0]'],
  ['{"\\udc00":1}', 'invalid_encoding', 'body'],
  ['{"a":[1,{"__proto__":{"x":1}}]}', 'forbidden_key', 'body.a[1].__proto__'],
  ['{"\\u005f_proto__":1}', 'forbidden_key', 'body.__proto__'],
  ['{"a":1e400}', 'invalid_json', 'body.a'],
  ['[-1E+400]', 'invalid_json', 'body[0]'],
  [`[${'9'.repeat(250)}e99]`, 'invalid_json', 'body[0]'],
  [`[${'9'.repeat(400)}]`, 'invalid_json', 'body[0]'],
  [`[1${'0'.repeat(308)}0.5]`, 'invalid_json', 'body[0]'],
  [nested(LIMITS.json_depth_max + 1), 'too_deep', 'body'],
  ['{"a":'.repeat(65), 'too_deep', 'body'],
  ['['.repeat(5_000_000), 'too_deep', 'body'],
];

for (const [text, code, field] of BAD) {
  test(`${code}: ${String(text).slice(0, 40)}`, () => {
    assert.throws(() => parse(text), { code, field });
  });
}

test('brackets and digits in texts are no nesting and no numbers', () => {
  const text = `["${'['.repeat(100)}\\\\\\"${'{'.repeat(100)}","${'9'.repeat(500)}","1e999"]`;
  assert.deepEqual(parse(text), JSON.parse(text));
  const deepest = nested(LIMITS.json_depth_max);
  assert.deepEqual(parse(deepest), JSON.parse(deepest));
  assert.deepEqual(parse('[1e308,1E5,2e-999,0.1e+3,"\\ud83d\\ude00"]'), [1e308, 1e5, 0, 100, '😀']);
});

test('numbers come through as JSON.parse has them, or are refused when not finite', () => {
  const number = fc
    .tuple(fc.bigInt(), fc.nat(), fc.integer({ min: -400, max: 400 }))
    .map(([whole, fraction, exponent]) => `${whole}.${fraction}e${exponent}`);
  fc.assert(
    fc.property(number, (text) => {
      const value = JSON.parse(text);
      if (Number.isFinite(value)) assert.equal(parse(text), value);
      else assert.throws(() => parse(text), { code: 'invalid_json' });
    }),
    { numRuns: 300 },
  );
});
