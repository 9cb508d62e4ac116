import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { FirstAppend } from './duplicate-record.ts';
import { RecentIds } from './recent-ids.ts';

const key = (n: number) =>
  createHash('sha256').update(String(n)).digest().toString('latin1').slice(0, 16);
/** Identities that share their chain: the first four bytes are the same. */
const crowded = (n: number) => `\u00ff\u0000\u0080\u0001${key(n).slice(4)}`;

function first(n: number): FirstAppend & { digest: string } {
  const digest = createHash('sha256').update(`content ${n}`).digest('base64url');
  const hlc = (1n << 60n) + BigInt(n);
  return { partition: n % 12, offset: n * 2 ** 33, hlc, contentKey: digest.slice(0, 21), digest };
}

function wordsOf(id: string, digest: string): Int32Array {
  const bytes = Buffer.concat([Buffer.from(id, 'latin1'), Buffer.from(digest, 'base64url')]);
  return new Int32Array(new Uint8Array(bytes).buffer, 0, 8);
}

function withoutDigest(entry: (FirstAppend & { digest: string }) | undefined) {
  if (!entry) return undefined;
  const { digest, ...rest } = entry;
  return rest;
}

for (const [name, keyOf] of Object.entries({ spread: key, crowded })) {
  test(`keeps the newest identities and their first place (${name})`, () => {
    const ids = fc.array(fc.nat({ max: 40 }), { maxLength: 200 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 17 }), ids, (max, added) => {
        const table = new RecentIds(max);
        const model = new Map<number, ReturnType<typeof first>>();
        for (const [at, n] of added.entries()) {
          table.add(keyOf(n), first(at));
          if (model.has(n)) continue;
          const [oldest] = model.keys();
          if (model.size === max && oldest !== undefined) model.delete(oldest);
          model.set(n, first(at));
        }
        assert.equal(table.size, model.size);
        for (let n = 0; n <= 40; n++)
          assert.deepEqual(table.get(keyOf(n)), withoutDigest(model.get(n)));
      }),
    );
  });
}

test('filled from the newest to the oldest it is the same as filled in order', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 17 }),
      fc.uniqueArray(fc.nat({ max: 40 }), { maxLength: 17 }),
      fc.array(fc.nat({ max: 60 }), { maxLength: 60 }),
      (max, before, after) => {
        const loaded = before.slice(-max);
        const inOrder = new RecentIds(max);
        const backwards = new RecentIds(max);
        for (const [at, n] of loaded.entries()) inOrder.add(crowded(n), first(at));
        for (const [at, n] of [...loaded.entries()].reverse()) {
          backwards.addOlder(wordsOf(crowded(n), first(at).digest), 0, first(at));
        }
        for (const [at, n] of after.entries()) {
          inOrder.add(crowded(n), first(100 + at));
          backwards.add(crowded(n), first(100 + at));
          for (let m = 0; m <= 60; m++) {
            assert.deepEqual(backwards.get(crowded(m)), inOrder.get(crowded(m)));
          }
        }
        assert.equal(backwards.size, inOrder.size);
      },
    ),
  );
});

test('of two copies of an identity the older one counts', () => {
  const table = new RecentIds(4);
  for (const at of [9, 7, 3]) {
    const { digest, ...place } = first(at);
    table.addOlder(wordsOf(key(1), digest), 0, place);
  }
  assert.equal(table.size, 1);
  assert.deepEqual(table.get(key(1)), withoutDigest(first(3)));
});
