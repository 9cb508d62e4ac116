import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { INCARNATION_MAX, META_BYTES_MAX } from '../member.ts';
import { ByteReader, ByteWriter, Malformed } from './bytes.ts';
import { decodeMessages } from './decode-messages.ts';
import { DIGEST_BYTES, encodeMessage, type Message } from './message.ts';

const id = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' }).filter((text) => {
  return Buffer.byteLength(text) <= 128 && text.isWellFormed();
});
const number = fc.maxSafeNat();
const range = fc
  .tuple(fc.integer({ min: 1, max: 255 }), fc.integer({ min: 1, max: 255 }))
  .map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));
const claim = {
  id,
  address: id,
  incarnation: fc.nat({ max: INCARNATION_MAX }),
  meta: fc.uint8Array({ maxLength: META_BYTES_MAX }),
  protocol: range,
};
const accused = fc.constantFrom('suspect', 'dead', 'left');
const message: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ type: fc.constantFrom('ping', 'ack', 'nack'), probe: number }),
  fc.record({
    type: fc.constant('ping-req'),
    probe: number,
    target: id,
    address: id,
    nack: fc.boolean(),
  }),
  fc.record({ type: fc.constant('alive'), claim: fc.record(claim) }),
  fc.record({
    type: fc.constant('accused'),
    claim: fc.record({ status: accused, id, incarnation: claim.incarnation, accuser: id }),
  }),
  fc.record({ type: fc.constant('user'), payload: fc.uint8Array({ maxLength: 300 }) }),
  fc.record({ type: fc.constant('refused'), protocol: range }),
  fc.constant({ type: 'forgotten' as const }),
  fc.record({
    type: fc.constant('digest'),
    digest: fc.uint8Array({ minLength: DIGEST_BYTES, maxLength: DIGEST_BYTES }),
    user: fc.uint8Array({ maxLength: 100 }),
  }),
  fc.record({
    type: fc.constant('state'),
    join: fc.boolean(),
    members: fc.array(
      fc.record({
        ...claim,
        status: fc.constantFrom('alive', 'suspect', 'dead', 'left'),
        accuser: id,
      }),
      { maxLength: 4 },
    ),
    user: fc.uint8Array({ maxLength: 100 }),
  }),
) as fc.Arbitrary<Message>;

const read = (bytes: Uint8Array) => decodeMessages(new ByteReader(bytes), 16);

test('messages read back as they were written', () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
      const bytes = new Uint8Array(Buffer.concat(messages.map(encodeMessage)));
      // fast-check's records have no prototype.
      const written = messages.map((one) => structuredClone(one));
      assert.deepEqual(read(bytes), written);
    }),
  );
});

test('what is cut off is malformed', () => {
  fc.assert(
    fc.property(message, fc.nat(), (one, cut) => {
      const bytes = encodeMessage(one);
      const length = 1 + (cut % Math.max(1, bytes.length - 1));
      if (length < bytes.length) assert.throws(() => read(bytes.subarray(0, length)), Malformed);
    }),
  );
});

test('any bytes are read or malformed', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        read(bytes);
      } catch (error) {
        assert.ok(error instanceof Malformed);
      }
    }),
    { numRuns: 2_000 },
  );
});

test('fields that a later version adds, and messages that it adds, are passed over', () => {
  const later = new ByteWriter()
    .byte(1)
    .sized(Uint8Array.of(7, 1, 2, 3))
    .byte(200)
    .text('new');
  assert.deepEqual(read(later.done()), [{ type: 'ping', probe: 7 }, { type: 'unknown' }]);
});

test('declared lengths take no memory', () => {
  const huge = new ByteWriter().byte(8).sized(new ByteWriter().byte(0).number(15).done()).done();
  assert.throws(() => read(huge), Malformed);
  const many = new ByteWriter().byte(8).sized(
    new ByteWriter()
      .byte(0)
      .number(2 ** 40)
      .done(),
  );
  assert.throws(() => read(many.done()), Malformed);
  assert.throws(
    () =>
      read(
        new ByteWriter()
          .byte(7)
          .number(2 ** 52)
          .done(),
      ),
    Malformed,
  );
  assert.throws(() => read(Uint8Array.of(1, ...new Array(12).fill(0xff))), Malformed);
});
