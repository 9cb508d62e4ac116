import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeyReader, KeyWriter, prefixEnd } from './keys.ts';

const writer = new KeyWriter(1);

/** Checks that `encode` turns the order `compare` into byte order, and that `decode` undoes it. */
function checkOrder<T>(
  values: fc.Arbitrary<T>,
  encode: (value: T) => Buffer,
  decode: (key: Buffer) => T,
  compare: (a: T, b: T) => number,
): void {
  fc.assert(
    fc.property(values, values, (a, b) => {
      const keyA = encode(a);
      const keyB = encode(b);
      assert.equal(Math.sign(Buffer.compare(keyA, keyB)), Math.sign(compare(a, b)));
      assert.equal(compare(decode(keyA), a), 0);
    }),
    { numRuns: 500 },
  );
}

const byCodePoint = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));
const zeroes = fc
  .array(fc.constantFrom(0, 1, 0xfe, 0xff, 0x61), { maxLength: 6 })
  .map((bytes) => Buffer.from(bytes));

test('numbers keep their order', () => {
  checkOrder(
    fc.maxSafeNat(),
    (n) => writer.begin('t').u64(n).finish(),
    (key) => {
      const reader = new KeyReader(key);
      assert.equal(reader.tenant(), 't');
      return reader.u64();
    },
    (a, b) => a - b,
  );
  checkOrder(
    fc.bigInt(0n, 2n ** 64n - 1n),
    (n) => new KeyWriter().u64(n).finish(),
    (key) => new KeyReader(key).u64Big(),
    (a, b) => (a < b ? -1 : a > b ? 1 : 0),
  );
  checkOrder(
    fc.maxSafeNat(),
    (n) => new KeyWriter().u64Inverted(n).finish(),
    (key) => new KeyReader(key).u64Inverted(),
    (a, b) => b - a,
  );
  checkOrder(
    fc.nat({ max: 0xffff_ffff }),
    (n) => new KeyWriter().u32(n).finish(),
    (key) => new KeyReader(key).u32(),
    (a, b) => a - b,
  );
});

test('doubles keep their order, with both infinities and one zero', () => {
  checkOrder(
    fc.double({ noNaN: true }),
    (n) => new KeyWriter().double(n).finish(),
    (key) => new KeyReader(key).double(),
    (a, b) => (a < b ? -1 : a > b ? 1 : 0),
  );
  assert.deepEqual(new KeyWriter().double(-0).finish(), new KeyWriter().double(0).finish());
  assert.throws(() => new KeyWriter().double(Number.NaN), RangeError);
});

test('text and bytes keep their order, also when parts follow', () => {
  checkOrder<[Buffer, Buffer]>(
    fc.tuple(zeroes, zeroes),
    ([a, b]) => new KeyWriter().bytes(a).bytes(b).finish(),
    (key) => {
      const reader = new KeyReader(key);
      return [reader.bytes(), reader.bytes()] as [Buffer, Buffer];
    },
    ([a, b], [c, d]) => Buffer.compare(a, c) || Buffer.compare(b, d),
  );
  checkOrder<[string, number, Buffer]>(
    fc.tuple(fc.string({ unit: 'grapheme' }), fc.nat(300), zeroes),
    ([text, n, tail]) => new KeyWriter().text(text).u16(n).u8(1).raw(tail).finish(),
    (key) => {
      const reader = new KeyReader(key);
      const decoded: [string, number] = [reader.text(), reader.u16()];
      assert.equal(reader.u8(), 1);
      return [...decoded, reader.rest()];
    },
    ([a, n, x], [b, m, y]) => byCodePoint(a, b) || n - m || Buffer.compare(x, y),
  );
});

test('tenants are walls: keys of one never lie between keys of another', () => {
  const names = fc.constantFrom('a', 'a-b', 'ab', 'default', 'default-1');
  fc.assert(
    fc.property(names, names, zeroes, zeroes, zeroes, (a, b, x, y, z) => {
      if (a === b) return;
      const [low, high] = [x, y]
        .map((tail) => writer.begin(a).raw(tail).finish())
        .sort(Buffer.compare);
      const other = writer.begin(b).raw(z).finish();
      assert.ok(Buffer.compare(other, low!) < 0 || Buffer.compare(other, high!) > 0);
    }),
  );
});

test('the end of a prefix comes after every key that has it, and before any other', () => {
  fc.assert(
    fc.property(zeroes, zeroes, (prefix, tail) => {
      const end = prefixEnd(prefix);
      if (end === undefined) return assert.ok(prefix.every((byte) => byte === 0xff));
      assert.ok(Buffer.compare(Buffer.concat([prefix, tail]), end) < 0);
      if (Buffer.compare(tail, prefix) > 0 && !tail.subarray(0, prefix.length).equals(prefix)) {
        assert.ok(Buffer.compare(tail, end) >= 0);
      }
    }),
  );
});

test('a key that is cut short is refused', () => {
  const key = new KeyWriter().text('abc').u64(7).finish();
  for (let length = 0; length < key.length; length++) {
    const reader = new KeyReader(key.subarray(0, length));
    assert.throws(() => {
      reader.text();
      reader.u64();
    }, RangeError);
  }
});
