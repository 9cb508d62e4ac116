import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { crc32c } from '@platformatic/kafka';
import fc from 'fast-check';
import { digestOf, newRecord } from '../contract.ts';
import type { NewRecord } from '../port.ts';
import { decodeBatch, decodeRecent, type RawBatch, splitBatches } from './batch-decoder.ts';
import { BATCH, BatchEncoder, recordBytesMax } from './batch-encoder.ts';
import type { Compression } from './compression.ts';
import { hlcOfValue, readDigests, readHlc, STAMP_BYTES, writeStamp } from './record-header.ts';
import { VarintCursor, varintSize, writeVarint } from './varint.ts';

const IDENTITY = { producerId: 4711n, epoch: 3, sequence: 99 };

function encode(records: readonly NewRecord[], compression: Compression, offset = 0): Buffer {
  const encoder = new BatchEncoder();
  for (const record of records) encoder.add(record);
  const bytes = encoder.finish(IDENTITY, compression);
  bytes.writeBigInt64BE(BigInt(offset), BATCH.baseOffset); // as the broker does
  return bytes;
}

function only(bytes: Buffer, partition = 7): RawBatch {
  const batches = splitBatches(partition, bytes);
  assert.equal(batches.length, 1);
  return batches[0] as RawBatch;
}

const someRecord = fc
  .record({
    key: fc.string({ unit: 'binary', maxLength: 40 }),
    value: fc.uint8Array({ maxLength: 3000 }),
    hlc: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    n: fc.nat(),
  })
  .map(({ key, value, hlc, n }) => ({
    ...newRecord(7, n, ''),
    key: key.toWellFormed(),
    value,
    hlc,
  }));
const someCompression = fc.constantFrom('none' as const, 'gzip' as const, 'zstd' as const);

describe('record batches', () => {
  test('come back as they were, with stamps and digests', () =>
    fc.assert(
      fc.property(
        fc.array(someRecord, { minLength: 1, maxLength: 40 }),
        someCompression,
        fc.nat({ max: 2 ** 31 }),
        (records, compression, offset) => {
          const raw = only(encode(records, compression, offset));
          assert.equal(raw.from, offset);
          assert.equal(raw.next, offset + records.length);
          const decoded = decodeBatch(raw);
          const recent = decodeRecent(raw);
          assert.equal(decoded.length, records.length);
          for (const [i, record] of records.entries()) {
            const { key, value, ...rest } = decoded[i]!;
            assert.deepEqual(rest, { partition: 7, offset: offset + i, hlc: record.hlc });
            assert.equal(key, record.key);
            assert.ok(value.equals(record.value));
            assert.equal(recent[i]?.hlc, record.hlc);
            assert.deepEqual(recent[i]?.idDigest, Buffer.from(record.idDigest));
            assert.deepEqual(recent[i]?.contentDigest, Buffer.from(record.contentDigest));
          }
        },
      ),
    ));

  test('never take more than what was counted for them', () =>
    fc.assert(
      fc.property(fc.array(someRecord, { minLength: 1, maxLength: 10 }), (records) => {
        const encoder = new BatchEncoder();
        for (const record of records) encoder.add(record);
        const counted = records.reduce((sum, record) => sum + recordBytesMax(record), 0);
        assert.ok(encoder.length <= counted);
      }),
    ));

  test('a changed byte is found, wherever it is', () => {
    const records = Array.from({ length: 20 }, (_, n) => newRecord(7, n, `value ${n}`));
    for (const compression of ['none', 'zstd'] as const) {
      const bytes = encode(records, compression);
      for (let at = BATCH.crc; at < bytes.length; at++) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ 0x10;
        assert.throws(() => decodeBatch(only(changed)), {
          code: 'storage_damaged',
          extra: { partition: 7, offset: 0 },
        });
      }
    }
  });

  test('bytes that make no sense under a checksum that holds are damage too', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 7 }), (junk, bits) => {
        const bytes = Buffer.concat([
          encode([newRecord(7, 1, 'x')], 'none').subarray(0, BATCH.records),
          junk,
        ]);
        bytes.writeInt32BE(bytes.length - BATCH.leaderEpoch, BATCH.length);
        bytes.writeInt16BE(bits, BATCH.attributes);
        bytes.writeInt32BE(3, BATCH.count);
        bytes.writeUInt32BE(crc32c(bytes.subarray(BATCH.attributes)), BATCH.crc);
        try {
          assert.equal(decodeBatch(only(bytes)).length, 3);
        } catch (error) {
          assert.equal((error as { code: string }).code, 'storage_damaged');
        }
      }),
    ));

  test('several are cut apart, and one that is cut off is left out', () => {
    const first = encode([newRecord(7, 1, 'a'), newRecord(7, 2, 'b')], 'none', 10);
    const second = encode([newRecord(7, 3, 'c')], 'none', 12);
    const both = Buffer.concat([first, second]);
    assert.deepEqual(
      splitBatches(7, both).map(({ from, next }) => [from, next]),
      [
        [10, 12],
        [12, 13],
      ],
    );
    for (let length = first.length; length < both.length; length++) {
      assert.equal(splitBatches(7, both.subarray(0, length)).length, 1);
    }
    assert.deepEqual(splitBatches(7, first.subarray(0, first.length - 1)), []);
  });
});

describe('the header of a record', () => {
  test('is readable text of a fixed length', () => {
    const header = Buffer.alloc(STAMP_BYTES);
    const stamp = {
      hlc: 0x0199_1234_5678_0042n,
      idDigest: digestOf(1),
      contentDigest: digestOf(2),
    };
    writeStamp(header, 0, stamp);
    assert.match(header.toString('latin1'), /^1\.\.019912345678-0042\.[\w-]{43}$/);
    assert.equal(readHlc(header, 0, header.length), stamp.hlc);
    assert.deepEqual(readDigests(header, 0).idDigest, stamp.idDigest);
    assert.deepEqual(readDigests(header, 0).contentDigest, stamp.contentDigest);
    for (const other of ['2', '1x', '1..x19912345678-0042.']) {
      const changed = Buffer.from(header);
      changed.write(other, 'latin1');
      assert.equal(readHlc(changed, 0, changed.length), undefined);
    }
    assert.equal(readHlc(header, 0, header.length - 1), undefined);
  });

  test('where it is missing, the event itself tells its stamp', () => {
    const stamp = (value: string) => hlcOfValue(Buffer.from(value));
    assert.equal(stamp('{"hlc":"000000000001-0002"}'), 0x1_0002n);
    for (const value of ['', 'x', '1', 'null', '{}', '{"hlc":1}', '{"hlc":"x"}']) {
      assert.equal(stamp(value), 0n);
    }
  });
});

test('varints hold whole numbers up to 2^52', () =>
  fc.assert(
    fc.property(
      fc.maxSafeInteger().map((n) => Math.trunc(n / 2) + 0),
      (n) => {
        const bytes = Buffer.alloc(10);
        const end = writeVarint(bytes, 0, n);
        assert.equal(end, varintSize(n));
        const cursor = new VarintCursor(bytes);
        assert.equal(cursor.next(), n);
        assert.equal(cursor.at, end);
        assert.throws(() => new VarintCursor(bytes.subarray(0, end - 1)).next());
      },
    ),
  ));
