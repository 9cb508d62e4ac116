import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { seeded } from '@memplane/testkit';
import { encode } from 'cborg';
import * as codec from './codec.ts';
import { decodeContext, decodeElement, encodeContext, encodeElement, encodeSet } from './codec.ts';
import { contextOf } from './context.ts';
import { encodeClaimedCounter } from './counter-codec.ts';
import { decodeKeyed, encodeKeyed } from './keyed.ts';
import { decodeMap, encodeMap } from './or-map-codec.ts';
import * as piece from './piece-codec.ts';
import { decodeFlag, encodeFlag } from './quorum-flag-codec.ts';
import { decodeReplicaDelta, encodeReplicaDelta } from './replica-delta-codec.ts';
import { decodeMessage, encodeMessage } from './replication/messages.ts';
import * as strict from './strict-codec.ts';
import { makeVectors } from './test-vectors.ts';

const FIXTURES = new URL('./fixtures/', import.meta.url);
const A = '0a'.repeat(16);
const B = 'b0'.repeat(16);
const context = contextOf(
  [1, 2, 3, 4].flatMap((seq) => [
    { incarnation: A, seq },
    { incarnation: B, seq },
  ]),
);

/** Decodes and encodes again, for each kind of bytes that may come from elsewhere. */
const ROUND_TRIPS: Record<string, (bytes: Uint8Array) => Uint8Array> = {
  counter: (bytes) => codec.encodeCounter(strict.decodeCounterStrictly(bytes)),
  counterWithContested: (bytes) => codec.encodeCounter(strict.decodeCounterStrictly(bytes)),
  counterWithClaims: (bytes) => encodeClaimedCounter(strict.decodeClaimedCounterStrictly(bytes)),
  set: (bytes) => encodeSet(strict.decodeSetStrictly(bytes)),
  register: (bytes) => codec.encodeRegister(strict.decodeRegisterStrictly(bytes)),
  map: (bytes) => encodeMap(decodeMap(bytes)),
  flag: (bytes) => encodeFlag(decodeFlag(bytes)),
  keyed: (bytes) => encodeKeyed(decodeKeyed(bytes)),
  piece: (bytes) => {
    const { prefix, elements } = piece.decodePiece(bytes, context);
    return piece.encodePiece(prefix, elements);
  },
  patch: (bytes) => piece.encodePatch(piece.decodePatch(bytes)),
  summaries: (bytes) => piece.encodeSummaries(piece.decodeSummaries(bytes)),
  exchange: (bytes) => piece.encodeExchange(piece.decodeExchange(bytes)),
  vector: (bytes) => encodeMessage(decodeMessage(bytes)),
  deltas: (bytes) => encodeMessage(decodeMessage(bytes)),
  behind: (bytes) => encodeMessage(decodeMessage(bytes)),
  replicaDelta: (bytes) => encodeReplicaDelta(decodeReplicaDelta(bytes)),
  replicaDeltaWithMaps: (bytes) => encodeReplicaDelta(decodeReplicaDelta(bytes)),
};

/** Records of a store, which are decoded as they are trusted: by their owner. */
const RECORDS: Record<string, (bytes: Uint8Array) => Uint8Array> = {
  context: (bytes) => encodeContext(decodeContext(bytes)),
  element: (bytes) => {
    const { element, dots } = decodeElement(bytes);
    return encodeElement(element, dots);
  },
};

function vectorsOf(file: string): Record<string, string> {
  return JSON.parse(readFileSync(new URL(file, FIXTURES), 'utf8'));
}

/** What is thrown, if anything, must be coded. */
function attempt(decode: (bytes: Uint8Array) => Uint8Array, bytes: Uint8Array): string {
  try {
    decode(bytes);
    return 'read';
  } catch (error) {
    assert.ok(error instanceof MemplaneError, String(error));
    return error.code;
  }
}

describe('the format', () => {
  it('is what the fixture of this version says: existing bytes never change', () => {
    assert.deepEqual(makeVectors(), vectorsOf('format-1.json'));
  });

  for (const file of readdirSync(FIXTURES)) {
    it(`reads all of ${file}`, () => {
      const vectors = vectorsOf(file);
      for (const [name, decode] of Object.entries({ ...ROUND_TRIPS, ...RECORDS })) {
        const bytes = Buffer.from(vectors[name] ?? '', 'hex');
        assert.deepEqual(Buffer.from(decode(bytes)), bytes, name);
      }
    });
  }
});

describe('hostile bytes', () => {
  const vectors = makeVectors();
  const kinds = Object.entries(ROUND_TRIPS).map(
    ([name, decode]) => [name, decode, Buffer.from(vectors[name] ?? '', 'hex')] as const,
  );

  it('that are damaged anywhere are refused with a code, or are another good encoding', () => {
    const random = seeded(11);
    for (const [name, decode, good] of kinds) {
      for (let run = 0; run < 3000; run++) {
        const bytes = Buffer.from(good);
        for (let n = random.int(1, 3); n > 0; n--) {
          bytes[random.int(0, bytes.length - 1)] = random.int(0, 255);
        }
        if (attempt(decode, bytes) === 'read') {
          assert.deepEqual(Buffer.from(decode(bytes)), bytes, name);
        }
      }
    }
  });

  it('that are cut short or go on are refused', () => {
    for (const [name, decode, good] of kinds) {
      for (let end = 0; end < good.length; end++) {
        assert.notEqual(attempt(decode, good.subarray(0, end)), 'read', `${name} to ${end}`);
      }
      assert.equal(attempt(decode, Buffer.concat([good, Buffer.from([0])])), 'storage_damaged');
    }
  });

  it('that promise more than there is cost nothing', () => {
    const promises = [
      '9affffffff',
      '9bffffffffffffffff',
      '5affffffff',
      '7bffffffffffffffff',
      'bbff',
    ];
    for (const [, decode] of kinds) {
      for (const promise of promises) {
        assert.equal(attempt(decode, Buffer.from(promise, 'hex')), 'storage_damaged');
      }
    }
  });

  it('that are nested deeply or too long are refused by their bounds', () => {
    const deep = Buffer.alloc(1_000_000, 0x81);
    const long = Buffer.alloc(9 * 1024 * 1024);
    for (const [, decode] of kinds) {
      assert.equal(attempt(decode, deep), 'too_deep');
      assert.equal(attempt(decode, long), 'body_too_large');
    }
    const many = encode(Array.from({ length: 100 }, () => 0));
    const limits = { bytes_max: 1000, depth_max: 4, items_max: 50 };
    assert.throws(() => decodeMap(many, limits), { code: 'body_too_large' });
  });

  it('in which a state is not well-formed are refused', () => {
    const a = Buffer.from(A, 'hex');
    const dot = [a, 1];
    const sets = {
      'half an interval': [[[a, [1]]], []],
      'intervals that touch': [[[a, [1, 2, 3, 4]]], []],
      'an interval from zero': [[[a, [0, 4]]], []],
      'a dot outside of the context': [[[a, [2, 3]]], [['x', [dot]]]],
      'a dot at two places': [
        [[a, [1, 1]]],
        [
          ['x', [dot]],
          ['y', [dot]],
        ],
      ],
      'an element without dots': [[[a, [1, 1]]], [['x', []]]],
      'elements out of order': [
        [[a, [1, 2]]],
        [
          ['y', [dot]],
          ['x', [[a, 2]]],
        ],
      ],
    };
    for (const [what, form] of Object.entries(sets)) {
      const decode = ROUND_TRIPS['set'] as (bytes: Uint8Array) => Uint8Array;
      assert.equal(attempt(decode, encode([1, 2, ...form])), 'storage_damaged', what);
    }
    const maps = [
      [[[a, [1, 1]]], [['q:x', [[dot, 1]]]]],
      [[[a, [1, 1]]], [['c:x', []]]],
      [[[a, [1, 1]]], [['m:x', []]]],
      [[[a, [1, 1]]], [['r:x', [[dot, 1n, 'one', new Uint8Array(3)]]]]],
    ];
    for (const form of maps) {
      const decode = ROUND_TRIPS['map'] as (bytes: Uint8Array) => Uint8Array;
      assert.equal(attempt(decode, encode([1, 6, ...form])), 'storage_damaged');
    }
    const patchOf = (...elements: unknown[]) => encode([1, 15, elements]);
    const x = ['x', [dot], [[a, [1, 1]]]];
    const counter = (contested: unknown[], claims: unknown[]) =>
      encode([1, 21, 0, [[a, 3, 0, 1, 0]], null, contested, claims]);
    const claim = [3, 1n, a, 2, 1];
    const later = [3, 2n, a, 3, 1];
    const op = ['one', claim];
    const named = (record: unknown, name = 't/a') => [[[name, record]], [], [], []];
    const withOps = (...ops: unknown[]) => named(counter([], ops));
    const good = counter([['one', [claim, later]]], [op]);
    const replicaDeltas = {
      'names out of order': [
        [
          ['t/b', good],
          ['t/a', good],
        ],
        [],
        [],
        [],
      ],
      'a name twice': [
        [
          ['t/a', good],
          ['t/a', good],
        ],
        [],
        [],
        [],
      ],
      'a name that is too long': named(good, 't'.repeat(513)),
      'a name without anything': named(encode([1, 1, 0, [], null])),
      'a counter of claims without any': withOps(),
      'an operation id of nothing': withOps(['', claim]),
      'an operation id that is too long': withOps(['o'.repeat(129), claim]),
      'an operation id twice': withOps(op, op),
      'a stamp below zero': withOps(['one', [3, -1n, a, 1, 1]]),
      'an amount that is none': withOps(['one', [1.5, 1n, a, 1, 1]]),
      'a place below zero': withOps(['one', [3, 1n, a, -1, 1]]),
      'a claim without its place': withOps(['one', [3, 1n]]),
      'a contested id of one claim': named(counter([['one', [claim]]], [op])),
      'contested claims out of order': named(counter([['one', [later, claim]]], [op])),
      'contested claims that were reset': named(
        counter(
          [
            [
              'one',
              [
                [3, 1n, a, 1, 1],
                [3, 2n, a, 1, 1],
              ],
            ],
          ],
          [op],
        ),
      ),
      'a counter in place of its record': [[['t/a', [1, 1, 0, [], null]]], [], [], []],
      'intervals that touch': [[], [['t/a', [patchOf(x), [[a, [1, 2, 3, 4]]]]]], [], []],
      'a dot of two elements': [[], [['t/a', [patchOf(x, ['y', ...x.slice(1)]), []]]], [], []],
      'too few members': [[], [], []],
      'the form of before': [[], [], [], [], []],
    };
    assert.equal(
      attempt(ROUND_TRIPS['replicaDelta'] as never, encode([1, 22, ...named(good)])),
      'read',
    );
    for (const [what, form] of Object.entries(replicaDeltas)) {
      const decode = ROUND_TRIPS['replicaDelta'] as (bytes: Uint8Array) => Uint8Array;
      assert.equal(attempt(decode, encode([1, 22, ...form])), 'storage_damaged', what);
    }
    assert.throws(() => piece.decodePiece(encode([1, 10, 'f', [['x', [dot]]]]), context), {
      code: 'storage_damaged',
    });
  });

  it('of another format version are refused', () => {
    for (const [, decode, good] of kinds) {
      const other = Buffer.from(good);
      other[1] = 2;
      assert.equal(attempt(decode, other), 'storage_damaged');
    }
  });
});
