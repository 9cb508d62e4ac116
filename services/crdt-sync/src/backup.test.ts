import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { CrdtExportLine } from '@memplane/contracts';
import { emptyCounter, replicaDeltaLattice } from '@memplane/crdt';
import { seededRandom } from '@memplane/testkit';
import { newReplicaFolder, restoreCrdts } from './backup.ts';
import { exportLines } from './domain/export.ts';
import { joinAll } from './domain/join-all.ts';
import type { CrdtStore } from './domain/port.ts';
import { TestReplica } from './domain/test-replica.ts';
import { EmbeddedStore } from './drivers/embedded-store.ts';

const LOG = '0c7a4d0e-6f2b-4c59-9d3e-5a1b2c3d4e5f';
const COMMANDS = 600;

describe('a replica that is exported and restored', () => {
  let root: string;
  let store: EmbeddedStore;
  let replica: TestReplica;

  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'memplane-crdt-backup-'));
    store = await openAt('source');
    replica = await start(store);
  });
  afterEach(async () => {
    await store.close();
    await rm(root, { recursive: true });
  });

  const openAt = (name: string) => EmbeddedStore.open({ dir: path.join(root, name) });
  const start = (on: CrdtStore) =>
    TestReplica.start({
      id: 'a',
      store: on,
      now: Date.now,
      newIncarnation: () => randomBytes(16).toString('hex'),
      told: () => {},
    });
  const restored = async (lines: Iterable<CrdtExportLine>, withoutLog = LOG) => {
    const dir = path.join(root, `restored-${randomBytes(4).toString('hex')}`);
    const { now } = Date;
    const replica = await newReplicaFolder(dir, { env: {}, now });
    const given = { replica, withoutLog, name: 'part', now };
    const restoring = restoreCrdts({ ...given, lines: each(lines) });
    const names = await restoring.finally(() => replica.storage.store.close());
    return { names, store: await EmbeddedStore.open({ dir }) };
  };

  test('has the same values, commits and stamps, whatever they were made of', async () => {
    const seed = Number(process.env['MEMPLANE_TEST_SEED'] ?? Date.now() % 1_000_000);
    await work(replica, seed);
    const lines = await Array.fromAsync(exportLines(store));
    const copy = await restored(lines);
    try {
      const of = (from: CrdtStore) => from.digests({ after: undefined, limit: 10_000 });
      const values = await of(store);
      assert.ok(values.length > 20, `seed ${seed}`);
      assert.deepEqual(await of(copy.store), values, `seed ${seed}`);
      assert.equal(copy.names, values.length);
      const commits = async (from: CrdtStore) =>
        new Map((await from.incarnations()).map((it) => [it.incarnation, it.commits]));
      for (const [incarnation, number] of await commits(store)) {
        assert.equal((await commits(copy.store)).get(incarnation), number, `seed ${seed}`);
      }
      assert.ok((await copy.store.lastStamp()) >= (await store.lastStamp()));
      // An operation that counted before the backup does not count again.
      const again = await start(copy.store);
      const before = await again.read('ops');
      await again.ask({ type: 'increment', name: 'ops', by: 7, opId: 'op-3' });
      assert.deepEqual(await again.read('ops'), before);
      await again.ask({ type: 'increment', name: 'ops', by: 7, opId: 'a-new-one' });
      assert.notDeepEqual(await again.read('ops'), before);
    } finally {
      await copy.store.close();
    }
  });

  test('leaves out what counters derive from the log that is left behind, and nothing else', async () => {
    const delta = replicaDeltaLattice.bottom();
    const partsOf = (logId: string) => ({
      generation: 0,
      logId,
      byPartition: new Map([[0, { epoch: 0, offset: 9, value: 10 }]]),
    });
    const counter = emptyCounter();
    delta.counters.set('default/events_total', { ...counter, parts: partsOf(LOG) });
    delta.counters.set('default/of-another-log', {
      ...counter,
      parts: partsOf(LOG.replace('0', '1')),
    });
    await joinAll(replica.engine, delta);
    const copy = await restored(await Array.fromAsync(exportLines(store)));
    try {
      const found = await copy.store.digests({ after: undefined, limit: 10 });
      assert.deepEqual(
        found.map(({ name }) => name),
        ['of-another-log'],
      );
    } finally {
      await copy.store.close();
    }
  });

  test('is refused whole when a line is missing, comes twice or is none', async () => {
    await work(replica, 1);
    const lines = await Array.fromAsync(exportLines(store));
    const broken: readonly (readonly CrdtExportLine[])[] = [
      [],
      lines.slice(1),
      lines.slice(0, -1),
      lines.toSpliced(3, 1),
      lines.toSpliced(3, 0, lines[3] as CrdtExportLine),
      [...lines, lines.at(-1) as CrdtExportLine],
      lines.with(2, { delta: 'AAAA' }),
    ];
    for (const [i, given] of broken.entries()) {
      await assert.rejects(
        restored(given),
        { code: 'storage_damaged', extra: { part: 'part' } },
        `case ${i}`,
      );
    }
  });
});

async function* each<T>(items: Iterable<T>): AsyncGenerator<T> {
  yield* items;
}

/** All kinds of commands, with resets, removals and types that follow each other under one name. */
async function work(replica: TestReplica, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const below = (count: number) => Math.floor(random() * count);
  const asked: Promise<unknown>[] = [];
  for (let i = 0; i < COMMANDS; i++) {
    const elements = Array.from({ length: 1 + below(3) }, () => `e${below(9)}`);
    const opId = i % 3 === 0 ? `op-${below(20)}` : undefined;
    asked.push(
      replica.ask({ type: 'increment', name: `counter-${below(9)}`, by: below(100), opId }),
      replica.ask({ type: 'set-add', name: `set-${below(9)}`, elements }),
      replica.ask({ type: 'register-put', name: `register-${below(9)}`, value: { i } }),
    );
    if (i % 7 === 0)
      asked.push(replica.ask({ type: 'set-remove', name: `set-${below(9)}`, elements }));
    if (i % 31 === 0) asked.push(replica.ask({ type: 'reset-any', name: `set-${below(9)}` }));
    if (i % 37 === 0) asked.push(replica.ask({ type: 'reset-any', name: `counter-${below(9)}` }));
  }
  for (let i = 0; i < 6; i++) {
    asked.push(replica.ask({ type: 'increment', name: 'ops', by: 7, opId: `op-${i}` }));
  }
  asked.push(replica.ask({ type: 'register-put', name: 'changed', value: 1 }));
  asked.push(replica.ask({ type: 'reset-any', name: 'changed' }));
  asked.push(replica.ask({ type: 'increment', name: 'changed', by: 1 }));
  await Promise.all(asked);
}
