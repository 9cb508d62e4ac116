import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import {
  type AppendAnswer,
  eventually,
  expectStatus,
  Plane,
  planeDigests,
  portsInRow,
  readEntity,
  runCommand,
  ScratchFolder,
  type SearchAnswer,
} from '@memplane/testkit';

const ENV = {
  MEMPLANE_PARTITIONS: '2',
  MEMPLANE_HISTORY_RETENTION_MS: '1200',
  MEMPLANE_HISTORY_PRUNE_TICK_MS: '20',
  MEMPLANE_LOG_RETENTION_MS: '300',
  MEMPLANE_ARCHIVE_TICK_MS: '50',
  MEMPLANE_ARCHIVE_INTERVAL_MS: '100',
  MEMPLANE_SHARD_SNAPSHOT_EVENTS_MIN: '1',
  MEMPLANE_SHARD_SNAPSHOT_INTERVAL_MS: '200',
};
const ENTITIES = 8;

interface Shards {
  readonly shards: readonly { readonly historyStart: number; readonly appliedOffset: number }[];
}

test('a plane whose old history is gone is backed up with what it still shows', async () => {
  using folder = new ScratchFolder('backup-trimmed');
  const at = (name: string) => path.join(folder.path, name);
  const ports = await portsInRow();
  const first = await Plane.start({ dataDir: at('data'), ports, env: ENV });
  await using _first = first;
  const [old] = (await append(first, 'old', 'a lantern at the pier')).accepted;
  assert.ok(old);
  const startedAt = performance.now();
  for (let n = 0; performance.now() - startedAt < 2_000; n++) {
    await append(first, `later-${n}`, undefined);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await eventually('the history begins later', 20_000, async () => {
    const { shards } = await expectStatus<Shards>(200, 'GET', `${first.materializer}/v1/shards`);
    return shards.every(({ historyStart }) => historyStart > ENTITIES) || undefined;
  });
  const before = await planeDigests(first);
  const views = await Promise.all(entities().map((it) => readEntity(first.materializer, it)));
  const backup = await runCommand(['backup', '--to', at('one')], { url: first.ingest });
  assert.equal(backup.code, 0, backup.stderr);
  await first.kill();
  rmSync(at('data'), { recursive: true });

  const until = new Date(Number.parseInt(old.hlc.slice(0, 12), 16)).toISOString();
  const tooEarly = await restore(at('one'), at('then'), ['--until', until]);
  assert.equal(tooEarly.code, 5, tooEarly.stderr);
  assert.match(tooEarly.stderr, /history of partition \d from offset \d+ on alone/);
  const restored = await restore(at('one'), at('new'), []);
  assert.equal(restored.code, 0, restored.stderr);
  await using second = await Plane.start({ dataDir: at('new'), ports, env: ENV });
  const after = await planeDigests(second);
  assert.equal(viewsDigest(after.views), viewsDigest(before.views));
  for (const view of views) {
    const now = await readEntity(second.materializer, view.entity);
    assert.deepEqual(
      [now.attributes, now.memories, now.sequence, now.asOf],
      [view.attributes, view.memories, view.sequence, view.asOf],
    );
  }
  const { results } = await expectStatus<SearchAnswer>(200, 'POST', `${second.vectors}/v1/search`, {
    body: { text: 'lantern', topK: ENTITIES },
  });
  assert.equal(results.length, ENTITIES, 'memories of before the history are found');
  const next = await append(second, 'next', undefined);
  assert.ok(next.accepted.every(({ offset }) => offset > ENTITIES));
  const verified = await runCommand(['verify', '--json'], { url: second.ingest });
  assert.equal(verified.code, 2, 'the log alone no longer says what the views must be');
});

const entities = () => Array.from({ length: ENTITIES }, (_, i) => `user/${i}`);
const viewsDigest = (views: unknown) => (views as { digest: string }).digest;

function append(plane: Plane, id: string, text: string | undefined): Promise<AppendAnswer> {
  const body = entities().map((entity) => ({
    ...{ id, type: 'Said', entity, attributes: { id } },
    ...(text === undefined ? {} : { memory: { id: 'm', text } }),
  }));
  return expectStatus<AppendAnswer>(201, 'POST', `${plane.ingest}/v1/events`, { body });
}

function restore(place: string, dataDir: string, more: readonly string[]) {
  return runCommand(['restore', '--from', place, '--data-dir', dataDir, ...more]);
}
