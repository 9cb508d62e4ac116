import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { FileBlobStore } from '@memplane/blob-store';
import { firstHlcOf } from '@memplane/clock';
import { openEmbeddedLog, openEmbeddedReader, partitionOf } from '@memplane/event-log';
import { createLogger } from '@memplane/runtime';
import { readMaterializerConfig } from './config.ts';
import { createMaterializer, type Materializer } from './service.ts';
import { cloudEvent, withFolder } from './testing.ts';

const PARTITIONS = 2;
const START_MS = Date.now() - 60_000;

interface World {
  readonly dir: string;
  append(count: number): Promise<void>;
  start(env?: Record<string, string>): Promise<{ service: Materializer; url: string }>;
}

async function withLog(work: (world: World) => Promise<void>): Promise<void> {
  await withFolder(async (dir) => {
    const log = await openEmbeddedLog({
      dir: join(dir, 'log'),
      partitions: PARTITIONS,
      segmentBytes: 8192,
    });
    const reader = await openEmbeddedReader({ dir: join(dir, 'log'), shared: log.shared });
    const blobStore = await FileBlobStore.open(join(dir, 'blobs'));
    let n = 0;
    try {
      await work({
        dir,
        async append(count) {
          for (const last = n + count; n < last; n++) {
            const entity = `user/${n % 3}`;
            const hlc = firstHlcOf(START_MS + n);
            const event = cloudEvent({ id: `e${n}`, entity, hlc, data: { attributes: { n } } });
            const digest = Buffer.alloc(16, n);
            await log.writer.append([
              {
                partition: partitionOf(entity, PARTITIONS),
                key: entity,
                value: Buffer.from(JSON.stringify(event)),
                hlc,
                idDigest: digest,
                contentDigest: digest,
              },
            ]);
          }
        },
        async start(env = {}) {
          const config = readMaterializerConfig({
            MEMPLANE_MATERIALIZER_DIR: join(dir, 'views'),
            MEMPLANE_MATERIALIZER_PORT: '0',
            ...env,
          });
          const logger = createLogger('test', 'silent');
          const service = await createMaterializer(config, {
            logReader: reader,
            logAdmin: log.admin,
            blobStore,
            logger,
          });
          await service.start();
          return { service, url: `http://127.0.0.1:${service.port}` };
        },
      });
    } finally {
      await reader.close();
      await log.writer.close();
    }
  });
}

async function offsets(url: string, partition: number, from = 0): Promise<number[]> {
  const found: number[] = [];
  for (let next = from; ; ) {
    const response = await fetch(
      `${url}/v1/feeds/agent-events?partition=${partition}&from=${next}&waitMs=200&limit=17`,
    );
    assert.equal(response.headers.get('content-type'), 'application/x-ndjson');
    const lines = (await response.text()).split('\n').filter((line) => line !== '');
    if (lines.length === 0) return found;
    for (const line of lines) found.push((JSON.parse(line) as { offset: number }).offset);
    next = (found.at(-1) ?? 0) + 1;
  }
}

test('feeds and replays over HTTP, and problems that name the field', async () => {
  await withLog(async (world) => {
    await world.append(60);
    const { service, url } = await world.start();
    const all = [await offsets(url, 0), await offsets(url, 1)];
    assert.equal(all.flat().length, 60);
    const sse = await fetch(
      `${url}/v1/feeds/memory-views?partition=${partitionOf('user/1', 2)}&waitMs=0`,
      {
        headers: { accept: 'text/event-stream', 'last-event-id': '3' },
      },
    );
    assert.equal(sse.headers.get('content-type'), 'text/event-stream');
    assert.match(await sse.text(), /^id: \d+\nevent: memory-views\ndata: \{"partition":/);
    for (const [path, field] of [
      ['agent-events?partition=99', /partition/],
      ['agent-events?partition=-1', /partition/],
      ['agent-events?from=-7', /from/],
      ['no-such-topic', /topic/],
    ] as const) {
      const response = await fetch(`${url}/v1/feeds/${path}`);
      assert.ok([400, 404].includes(response.status), path);
      assert.match(((await response.json()) as { field: string }).field, field);
    }
    const post = (body: unknown) =>
      fetch(`${url}/v1/replays`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    const replay = (await (await post({})).json()) as { id: string; status: string };
    let state = replay as { status: string; digest?: string; difference?: { different: number } };
    while (state.status === 'running' || state.status === 'queued') {
      state = (await (await fetch(`${url}/v1/replays/${replay.id}`)).json()) as typeof state;
    }
    assert.equal(state.status, 'done');
    assert.equal(state.difference?.different, 0);
    assert.equal((await post({ entities: 'all' })).status, 400);
    assert.equal((await post({ to: 'event:e1' })).status, 400);
    assert.equal((await fetch(`${url}/v1/replays/none`)).status, 404);
    await service.stop();
  });
});

test('derived stores that are deleted come back equal after the log has forgotten', async () => {
  await withLog(async (world) => {
    await world.append(150);
    const quick = {
      MEMPLANE_ARCHIVE_INTERVAL_MS: '0',
      MEMPLANE_ARCHIVE_TICK_MS: '5',
      MEMPLANE_LOG_RETENTION_MS: '0',
      MEMPLANE_SHARD_SNAPSHOT_EVENTS_MIN: '1',
      MEMPLANE_SHARD_SNAPSHOT_INTERVAL_MS: '0',
    };
    const first = await world.start(quick);
    const digest = async (url: string) => (await fetch(`${url}/v1/digest`)).json();
    const ready = async (url: string) =>
      (await (await fetch(`${url}/readyz`)).json()) as { lag: number; archiveLagBytes: number };
    const settle = async (url: string, done: () => Promise<boolean>) => {
      const deadline = performance.now() + 20_000;
      while (!(await done())) {
        assert.ok(performance.now() < deadline, JSON.stringify(await ready(url)));
      }
    };
    const caughtUp = async (url: string) =>
      (await offsets(url, 0)).length + (await offsets(url, 1)).length === 150;
    await settle(first.url, () => caughtUp(first.url));
    await settle(first.url, async () => (await ready(first.url)).archiveLagBytes === 0);
    const expected = await digest(first.url);
    await first.service.stop();

    await rm(join(world.dir, 'views'), { recursive: true });
    const second = await world.start();
    await settle(second.url, () => caughtUp(second.url));
    assert.deepEqual(await digest(second.url), expected);
    await second.service.stop();

    // Without the snapshots: from the archive's events alone, since the log begins later.
    await rm(join(world.dir, 'views'), { recursive: true });
    await rm(join(world.dir, 'blobs', 'snapshots'), { recursive: true });
    const third = await world.start();
    await settle(third.url, () => caughtUp(third.url));
    assert.deepEqual(await digest(third.url), expected);
    await third.service.stop();
  });
});
