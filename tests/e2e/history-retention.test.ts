import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { test } from 'node:test';
import { decodeToken } from '@memplane/contracts';
import {
  type AppendAnswer,
  call,
  type EntityView,
  entityPath,
  eventually,
  expectStatus,
  Plane,
  type ProblemBody,
  planeDigests,
  removeDerivedStores,
  ScratchFolder,
  type SearchAnswer,
  type SentEvent,
} from '@memplane/testkit';

const RETENTION_MS = 6_000;
const ENTITIES = 24;
const OLD_ROUNDS = 12;
const WAIT_MS = 60_000;
const ENV = {
  MEMPLANE_HISTORY_RETENTION_MS: String(RETENTION_MS),
  MEMPLANE_HISTORY_PRUNE_TICK_MS: '50',
  MEMPLANE_LOG_RETENTION_MS: '500',
  MEMPLANE_ARCHIVE_TICK_MS: '50',
  MEMPLANE_ARCHIVE_INTERVAL_MS: '200',
  MEMPLANE_SHARD_SNAPSHOT_EVENTS_MIN: '1',
  MEMPLANE_SHARD_SNAPSHOT_INTERVAL_MS: '300',
  MEMPLANE_INDEX_ENDED_ROWS_MAX: '20',
  MEMPLANE_INDEX_HISTORY_CHECK_MS: '100',
  MEMPLANE_RECENT_IDS_MAX: '1',
};

test('history goes when it is too old; what is readable stays, and is built anew equal', async () => {
  using folder = new ScratchFolder('history-retention');
  await using plane = await Plane.start({ dataDir: folder.path, env: ENV });
  for (let n = 0; n < OLD_ROUNDS; n++) await append(plane, round('old', n));
  const old = await found(plane, await append(plane, round('old', OLD_ROUNDS)));
  const oldView = await view(plane, old.token);
  assert.equal(oldView.attributes['round'], 'old');
  const segments = () => globSync('**/segments/*', { cwd: folder.path }).sort();
  const archived = await eventually('the archive has it', WAIT_MS, async () => {
    return segments().length > 0 ? segments() : undefined;
  });
  // Age is counted from the newest stamp: later events alone make the first ones old.
  const startedAt = performance.now();
  for (let n = 0; performance.now() - startedAt < RETENTION_MS * 1.2; n++) {
    await append(plane, round('mid', n));
    await new Promise((resolve) => setTimeout(resolve, 600));
  }
  const mid = await found(plane, await append(plane, round('mid', 1_000)));
  const midView = await view(plane, mid.token);
  await append(plane, round('new', 0));
  const oldCut = decodeToken(old.token).offsets;
  const starts = await eventually('the history begins later', WAIT_MS, async () => {
    const { shards } = await expectStatus<Shards>(200, 'GET', `${plane.materializer}/v1/shards`);
    const isAfter = (shard: Shards['shards'][number]) =>
      shard.appliedOffset < 0 || shard.historyStart > (oldCut.get(shard.partition) ?? -1) + 1;
    return shards.every(isAfter) ? shards : undefined;
  });

  await refusals(plane, old.token, starts.find(({ historyStart }) => historyStart > 0)?.partition);
  const same = async (running: Plane) => {
    assert.deepEqual(await view(running, mid.token), midView);
    const again = await search(running, { asOf: `token:${mid.token}` });
    assert.deepEqual(ids(again), ids(mid));
    assert.equal(again.token, mid.token);
  };
  await same(plane);
  await eventually('the archive gives back', WAIT_MS, async () => {
    const left = new Set(segments());
    return archived.every((name) => !left.has(name)) || undefined;
  });
  await eventually('the index is built anew without what ended', WAIT_MS, async () => {
    const { generations } = await expectStatus<Index>(200, 'GET', `${plane.vectors}/v1/index`);
    return generations.length === 1 && (generations[0]?.generation ?? 0) > 1 ? true : undefined;
  });
  await same(plane);

  const { views } = await planeDigests(plane);
  await plane.kill();
  await using restarted = await plane.again();
  assert.deepEqual((await planeDigests(restarted)).views, views);
  await same(restarted);
  await restarted.kill();
  assert.ok(removeDerivedStores(folder.path).length > 0);
  await using rebuilt = await restarted.again();
  assert.deepEqual((await planeDigests(rebuilt)).views, views);
  await same(rebuilt);
  // An id whose event is gone is new again, in the views and in recall.
  const [first] = round('old', 0);
  const token = await append(rebuilt, [first as SentEvent]);
  const [hit] = (await search(rebuilt, { after: token, waitMs: 20_000, entity: 'user/0' })).results;
  assert.equal(hit?.eventId, first?.id);
  assert.ok(
    (hit?.offset ?? 0) > (oldCut.get(decodeToken(token).offsets.keys().next().value ?? 0) ?? 0),
  );
});

interface Shards {
  readonly shards: readonly {
    readonly partition: number;
    readonly historyStart: number;
    readonly appliedOffset: number;
  }[];
}

interface Index {
  readonly generations: readonly { readonly generation: number }[];
}

/** One event an entity, each of which replaces the entity's memory. */
function round(name: string, n: number): SentEvent[] {
  return Array.from({ length: ENTITIES }, (_, entity) => {
    const values = new Float32Array(768).map((_, d) => Math.sin(d * (entity + 1)));
    return {
      id: `${name}-${n}-${entity}`,
      type: 'Noted',
      entity: `user/${entity}`,
      attributes: { round: name, n },
      memory: {
        id: 'm',
        text: `the violin of ${name} ${n}`,
        embedding: { model: 'waves', values: Buffer.from(values.buffer).toString('base64') },
      },
    };
  });
}

async function append(plane: Plane, body: readonly SentEvent[]): Promise<string> {
  const url = `${plane.ingest}/v1/events`;
  return (await expectStatus<AppendAnswer>(201, 'POST', url, { body })).token;
}

async function found(plane: Plane, token: string): Promise<SearchAnswer> {
  const answer = await search(plane, { after: token, waitMs: 20_000 });
  assert.equal(answer.results.length, ENTITIES);
  return answer;
}

function search(plane: Plane, more: Record<string, unknown>): Promise<SearchAnswer> {
  const body = { text: 'violin', topK: 2 * ENTITIES, ...more };
  return expectStatus(200, 'POST', `${plane.vectors}/v1/search`, { body });
}

function ids({ results }: SearchAnswer): string[] {
  return results.map(({ eventId }) => eventId).sort();
}

async function view(plane: Plane, token: string): Promise<EntityView> {
  const path = entityPath('user/0', { asOf: `token:${token}` });
  return await expectStatus(200, 'GET', plane.materializer + path);
}

/** Every read of before the start: 410, with the field. */
async function refusals(plane: Plane, token: string, partition: number | undefined) {
  const asOf = `token:${token}`;
  const { materializer, vectors } = plane;
  const feed = `/v1/feeds/agent-events?partition=${partition}&from=0`;
  const filter = { round: 'old' };
  const cases: [method: string, url: string, field: string, body?: object][] = [
    ['GET', materializer + entityPath('user/0', { asOf }), 'query.asOf'],
    ['POST', `${materializer}/v1/query`, 'body.asOf', { filter, asOf }],
    ['POST', `${materializer}/v1/cuts`, 'body.asOf', { asOf }],
    ['POST', `${vectors}/v1/search`, 'body.asOf', { text: 'violin', asOf }],
    ['GET', materializer + feed, 'query.from'],
  ];
  for (const [method, url, field, body] of cases) {
    const answer = await call(method, url, body === undefined ? {} : { body });
    const problem = answer.body as ProblemBody & { field?: string };
    assert.deepEqual(
      [answer.status, problem.code, problem.field],
      [410, 'history_expired', field],
      url,
    );
  }
}
