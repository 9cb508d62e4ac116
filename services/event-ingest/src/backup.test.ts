import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { newStrongFolder, restoreStrong } from './backup.ts';
import { encodeLease, leaseKey, NO_LEASE } from './domain/strong/lease.ts';
import { RocksStrong } from './drivers/rocks-strong.ts';

describe('records of the strong store', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'memplane-strong-backup-'));
  });
  afterEach(() => rm(root, { recursive: true }));

  test('are listed with the keys and texts that they were written with, and no removed ones', async () => {
    const store = await RocksStrong.open(path.join(root, 'listed'));
    try {
      const keys = ['a.lease.x', 'a.head.user:1', 'a-b.lease.ü~@=', 'default.zones'];
      for (const key of keys) await store.create(key, `text of ${key}`);
      const gone = await store.create('a.lease.gone', 'text');
      assert.ok(gone.kind === 'written');
      await store.delete('a.lease.gone', gone.version);
      const listed = await Array.fromAsync(store.records());
      assert.deepEqual(
        listed,
        ['a.head.user:1', 'a.lease.x', 'a-b.lease.ü~@=', 'default.zones'].map((key) => ({
          key,
          value: `text of ${key}`,
        })),
      );
    } finally {
      await store.close();
    }
  });

  const lease = {
    key: leaseKey('default', 'plan'),
    value: encodeLease({ ...NO_LEASE, token: 4 }),
  };
  const whole: readonly unknown[] = [{ format: 1, keyId: 0 }, lease, { end: true, count: 1 }];
  const restored = async (lines: readonly unknown[], name: string) => {
    const store = await newStrongFolder(path.join(root, name));
    return restoreStrong({ store, lines: each(lines), name }).finally(() => store.close());
  };

  test('are restored, and refused whole when a line is missing, comes twice or is none', async () => {
    assert.equal(await restored(whole, 'whole'), 1);
    const broken: readonly (readonly unknown[])[] = [
      [],
      whole.slice(1),
      whole.slice(0, -1),
      whole.toSpliced(1, 1),
      whole.toSpliced(1, 0, lease),
      [...whole, whole.at(-1)],
      whole.with(1, { key: lease.key }),
    ];
    for (const [i, lines] of broken.entries()) {
      const error = { code: 'storage_damaged', extra: { part: `broken-${i}` } };
      await assert.rejects(restored(lines, `broken-${i}`), error, `case ${i}`);
    }
  });
});

async function* each<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}
