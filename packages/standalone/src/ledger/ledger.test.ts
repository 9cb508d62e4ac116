import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { MemoryBlobStore } from '@memplane/blob-store/memory';
import { appendToLedger, readLedger, whyNotSince } from './ledger.ts';
import { type LedgerEntry, NO_OBJECTS, objectName } from './ledger-object.ts';
import { ledgerBeside, refuseWithin } from './ledger-place.ts';

const LOG = randomUUID();

function entry(n: number): LedgerEntry {
  return {
    ...{ tenant: 'default', entity: `user/${n}`, erasure: randomUUID(), logId: LOG },
    requestedAt: '2026-11-27T12:00:00.000Z',
    event: { id: `erasure-${n}`, partition: n % 3, offset: n },
  };
}

async function ledgerOf(objects: number): Promise<MemoryBlobStore> {
  const blobs = new MemoryBlobStore();
  for (let n = 0; n < objects; n++) await appendToLedger(blobs, [entry(n)]);
  return blobs;
}

describe('the chain of a ledger', () => {
  test('has each erasure once, in the order in which they came', async () => {
    const blobs = new MemoryBlobStore();
    const entries = [entry(0), entry(1), entry(2)];
    await appendToLedger(blobs, entries.slice(0, 2));
    await appendToLedger(blobs, entries);
    const { head, entries: read } = await appendToLedger(blobs, entries);
    assert.equal(head.number, 2);
    assert.deepEqual([...read.values()], entries);
    assert.deepEqual(await readLedger(blobs), await appendToLedger(blobs, []));
  });

  test('loses nothing of writers at the same time, and writes no object twice', async () => {
    const blobs = new MemoryBlobStore();
    const entries = Array.from({ length: 8 }, (_, n) => entry(n));
    await Promise.all(entries.map((each) => appendToLedger(blobs, [each])));
    const { head, entries: read } = await readLedger(blobs);
    assert.equal(head.number, entries.length);
    assert.deepEqual(new Set(read.keys()), new Set(entries.map(({ erasure }) => erasure)));
  });

  test('is cut into objects of a bounded size', async () => {
    const blobs = new MemoryBlobStore();
    const entries = Array.from({ length: 2_500 }, (_, n) => entry(n));
    const { head } = await appendToLedger(blobs, entries);
    assert.equal(head.number, 3);
    assert.equal((await readLedger(blobs)).entries.size, entries.length);
  });

  test('is refused by the object that is missing, altered, or of another ledger', async () => {
    for (const number of [1, 2]) {
      const blobs = await ledgerOf(3);
      await blobs.delete(objectName(number));
      await assert.rejects(readLedger(blobs), named(number, /missing/));
    }
    const other = await ledgerOf(3);
    for (const number of [1, 2, 3]) {
      const name = objectName(number);
      const blobs = await ledgerOf(3);
      const whole = await blobs.get(name);
      for (let at = 0; at < whole.length; at += 31) {
        const flipped = Buffer.from(whole);
        flipped.writeUInt8(flipped.readUInt8(at) ^ 1, at);
        await blobs.put(name, flipped);
        await assert.rejects(readLedger(blobs), named(number), `byte ${at} of ${name}`);
      }
      await blobs.put(name, await other.get(name));
      // The first one of another ledger is whole in itself: its successor tells.
      await assert.rejects(readLedger(blobs), named(Math.max(2, number), /another object/));
    }
  });

  test('is older than a backup where it ends before the head of then, or had another', async () => {
    const blobs = await ledgerOf(2);
    const { head: then } = await readLedger(blobs);
    const since = await appendToLedger(blobs, [entry(9)]);
    assert.equal(whyNotSince(since, then), undefined);
    assert.equal(whyNotSince(since, NO_OBJECTS), undefined);
    assert.match(
      whyNotSince(await readLedger(await ledgerOf(1)), then) ?? '',
      /ends with object 1/,
    );
    assert.match(whyNotSince(await readLedger(await ledgerOf(5)), then) ?? '', /not the one/);
  });
});

function named(number: number, why = /./): (error: Error) => boolean {
  return (error) => error.message.includes(objectName(number)) && why.test(error.message);
}

test('a ledger is beside its backups, and never within one', () => {
  assert.equal(ledgerBeside('/backups/monday'), '/backups/memplane-erasures');
  assert.equal(
    ledgerBeside('s3://company/planes/monday/'),
    's3://company/planes/memplane-erasures',
  );
  assert.equal(ledgerBeside('s3://company/monday'), 's3://company/memplane-erasures');
  assert.throws(() => ledgerBeside('s3://company'), /--ledger/);
  const apart = ['/a/b', '/a/c', 's3://x/a', 's3://x/ab', '/a/..b'];
  for (const place of apart) {
    for (const other of apart) if (other !== place) refuseWithin(place, other);
  }
  for (const [inner, outer] of [
    ['/a/b/c', '/a/b'],
    ['/a/b', '/a/b/'],
    ['s3://x/a/b', 's3://x/a'],
    ['s3://x/a', 's3://x'],
  ] as const) {
    assert.throws(() => refuseWithin(inner, outer), /kept apart/);
    assert.throws(() => refuseWithin(outer, inner), /kept apart/);
  }
});
