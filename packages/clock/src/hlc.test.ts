import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { firstHlcOf, formatHlc, HLC_MAX, hlcCounter, hlcToMs, lastHlcOf, parseHlc } from './hlc.ts';

const stamp = fc.bigInt({ min: 0n, max: HLC_MAX });

test('text form is 12 hex digits of milliseconds and 4 of counter', () => {
  assert.equal(formatHlc((0x0190_aabb_ccddn << 16n) | 0x2an), '0190aabbccdd-002a');
  assert.equal(parseHlc('0190aabbccdd-002a'), (0x0190_aabb_ccddn << 16n) | 0x2an);
});

test('text and number carry the same stamp and sort alike', () => {
  fc.assert(
    fc.property(stamp, stamp, (a, b) => {
      assert.equal(parseHlc(formatHlc(a)), a);
      assert.equal(a < b, formatHlc(a) < formatHlc(b));
      assert.equal(firstHlcOf(hlcToMs(a)) + BigInt(hlcCounter(a)), a);
    }),
  );
});

test('a millisecond spans its first to its last stamp', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 47 }), (ms) => {
      assert.equal(hlcToMs(firstHlcOf(ms)), ms);
      assert.equal(hlcToMs(lastHlcOf(ms)), ms);
      assert.equal(lastHlcOf(ms) + 1n, firstHlcOf(ms + 1));
    }),
  );
});

test('what is not a stamp is refused', () => {
  const wrong = [
    '',
    '0190aabbccdd',
    '0190AABBCCDD-002a',
    '0190aabbccdd-002a ',
    '0190aabbccdd_002a',
  ];
  for (const text of wrong) assert.throws(() => parseHlc(text), { code: 'invalid_request' });
});
