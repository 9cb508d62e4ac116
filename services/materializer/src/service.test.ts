import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import { encodeToken } from '@memplane/contracts';
import { type LogBounds, partitionOf } from '@memplane/event-log';
import { createLogger, type Invoker } from '@memplane/runtime';
import { eventually } from '@memplane/testkit';
import { readMaterializerConfig } from './config.ts';
import { createMaterializer } from './service.ts';
import { MemoryLog, TEST_LOG_ID, type TestEvent, withFolder } from './testing.ts';

const PARTITIONS = 3;
const START_MS = 1_700_000_000_000;

interface World {
  readonly log: MemoryLog;
  /** Appends; returns its token. */
  append(event: Omit<TestEvent, 'hlc' | 'data'> & Partial<TestEvent>): string;
  get(path: string): Promise<{ status: number; body: Body }>;
  post(path: string, body: unknown): Promise<{ status: number; body: Body }>;
}

// biome-ignore lint/suspicious/noExplicitAny: answers are looked at freely in tests
type Body = any;

async function withService(
  work: (world: World) => Promise<void>,
  options: { invoker?: Invoker; dir?: string; log?: MemoryLog } = {},
): Promise<void> {
  await withFolder(async (made) => {
    const log = options.log ?? new MemoryLog(PARTITIONS);
    const config = readMaterializerConfig({
      MEMPLANE_MATERIALIZER_DIR: options.dir ?? made,
      MEMPLANE_MATERIALIZER_PORT: '0',
      MEMPLANE_COUNTER_PUBLISH_INTERVAL_MS: '5',
    });
    const logger = createLogger('test', 'silent');
    const { invoker } = options;
    const context = { logReader: log, logger, ...(invoker === undefined ? {} : { invoker }) };
    const service = await createMaterializer(config, context);
    await service.start();
    const call = async (path: string, init?: RequestInit) => {
      const response = await fetch(`http://127.0.0.1:${service.port}${path}`, init);
      return { status: response.status, body: await response.json() };
    };
    let ms = START_MS;
    try {
      await work({
        log,
        append(event) {
          const partition = partitionOf(event.entity, PARTITIONS);
          const { offset } = log.append(partition, { data: {}, hlc: firstHlcOf(++ms), ...event });
          return encodeToken({
            logId: TEST_LOG_ID,
            epoch: 0,
            offsets: new Map([[partition, offset]]),
          });
        },
        get: (path) => call(path),
        post: (path, body) =>
          call(path, {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: JSON.stringify(body),
          }),
      });
    } finally {
      await service.drain();
      await service.stop();
    }
  });
}

test('a read waits for its token, and says no when it can not have it', async () => {
  await withService(async ({ append, get }) => {
    const token = append({ id: 'a', entity: 'user/1', data: { attributes: { n: 1 } } });
    const { status, body } = await get(`/v1/entities/user/1?after=${token}`);
    assert.equal(status, 200);
    assert.deepEqual([body.attributes, body.sequence, body.asOf.offset], [{ n: 1 }, 1, 0]);
    const again = await get(`/v1/entities/user%2F1?asOf=${body.token}`);
    assert.deepEqual(again.body.attributes, { n: 1 });
    const partition = partitionOf('user/1', PARTITIONS);
    const later = encodeToken({ logId: TEST_LOG_ID, epoch: 0, offsets: new Map([[partition, 7]]) });
    const refused = await get(`/v1/entities/user/1?after=${later}&waitMs=20`);
    assert.deepEqual([refused.status, refused.body.code], [503, 'not_yet_visible']);
    const other = encodeToken({ logId: crypto.randomUUID(), epoch: 0, offsets: new Map() });
    assert.equal(
      (await get(`/v1/entities/user/1?after=${other}`)).body.code,
      'token_of_another_log',
    );
    assert.equal((await get('/v1/entities/user/1?asOf=time:soon')).body.code, 'invalid_as_of');
    assert.equal((await get('/v1/entities/user/2')).body.code, 'not_found');
    const query = await get('/v1/query');
    assert.equal(query.body.code, 'method_not_allowed');
  });
});

test('history is paged, in order, with reused ids marked', async () => {
  await withService(async ({ append, get }) => {
    for (let i = 0; i < 5; i++) append({ id: `e${i}`, entity: 'user/1', data: { data: i } });
    append({ id: 'e0', entity: 'user/1', data: { data: 0 } });
    const token = append({ id: 'e0', entity: 'user/1', data: { data: 'other' } });
    const seen: unknown[] = [];
    let from: number | undefined = 0;
    while (from !== undefined) {
      const path: string = `/v1/entities/user/1/history?from=${from}&limit=2&after=${token}`;
      const { body }: { body: Body } = await get(path);
      seen.push(...body.events.map((e: Body) => [e.offset, e.event.id, e.sequence, e.rejected]));
      from = body.next;
    }
    assert.deepEqual(seen, [
      [0, 'e0', 1, undefined],
      [1, 'e1', 2, undefined],
      [2, 'e2', 3, undefined],
      [3, 'e3', 4, undefined],
      [4, 'e4', 5, undefined],
      [6, 'e0', 5, 'id_reused'],
    ]);
    const shard = (await get('/v1/shards')).body.shards.find((s: Body) => s.appliedOffset >= 0);
    assert.deepEqual(
      [shard.duplicates, shard.rejected, shard.eventsTotal, shard.lag],
      [1, 1, 5, 0],
    );
  });
});

test('a trace follows causes and effects across entities', async () => {
  await withService(async ({ log, append, get }) => {
    append({ id: 'ask', entity: 'user/1' });
    append({ id: 'think', entity: 'agent/7', causationId: 'user/1#ask' });
    append({ id: 'act', entity: 'tool/x', causationId: 'think' });
    append({ id: 'ask', entity: 'user/2' });
    append({ id: 'lost', entity: 'user/3', causationId: 'nowhere' });
    for (const [entity, id] of [
      ['user/2', 'ask'],
      ['user/3', 'lost'],
      ['tool/x', 'act'],
    ]) {
      const partition = partitionOf(entity!, PARTITIONS);
      const { end } = await log.bounds(partition);
      const offsets = new Map([[partition, end - 1]]);
      const token = encodeToken({ logId: TEST_LOG_ID, epoch: 0, offsets });
      assert.equal(
        (await get(`/v1/entities/${entity}?after=${token}&asOf=event:${id}`)).status,
        200,
      );
    }
    const { body } = await get('/v1/trace?entity=agent/7&id=think');
    assert.deepEqual(
      body.nodes.map((node: Body) => [node.key, node.distance]),
      [
        ['user/1#ask', -1],
        ['agent/7#think', 0],
        ['tool/x#act', 1],
      ],
    );
    assert.equal(body.edges.length, 2);
    assert.equal(body.truncated, false);
    const lost = await get('/v1/trace?id=lost');
    assert.deepEqual(lost.body.unresolved, [
      { effect: 'user/3#lost', causationId: 'nowhere', reason: 'not_found' },
    ]);
    const ambiguous = await get('/v1/events?id=ask');
    assert.deepEqual([ambiguous.status, ambiguous.body.code], [409, 'ambiguous_id']);
    assert.equal((await get('/v1/events?id=ask&entity=user/2')).body.event.subject, 'user/2');
  });
});

test('a damaged record ends its own shard, loudly, and no other', async () => {
  await withService(async ({ log, append, get }) => {
    const good = append({ id: 'a', entity: 'user/1', data: { attributes: { n: 1 } } });
    assert.equal((await get(`/v1/entities/user/1?after=${good}`)).status, 200);
    const partition = partitionOf('user/1', PARTITIONS);
    const other = ['user/2', 'user/3', 'user/4', 'user/5'].find(
      (entity) => partitionOf(entity, PARTITIONS) !== partition,
    )!;
    // Damaged before anyone is told of it.
    log.append(partition, { id: 'b', entity: 'user/1', hlc: firstHlcOf(START_MS + 99), data: {} });
    log.damage(partition, 1, Buffer.from('{"no'));
    const bad = encodeToken({ logId: TEST_LOG_ID, epoch: 0, offsets: new Map([[partition, 1]]) });
    const refused = await get(`/v1/entities/user/1?after=${bad}`);
    assert.deepEqual([refused.status, refused.body.code], [503, 'storage_damaged']);
    assert.equal((await get('/v1/entities/user/1')).status, 200);
    const token = append({ id: 'c', entity: other });
    assert.equal((await get(`/v1/entities/${other}?after=${token}`)).status, 200);
    const ready = await get('/readyz');
    assert.equal(ready.status, 503);
    assert.equal(ready.body.troubled[0].code, 'storage_damaged');
  });
});

/** Tells nobody how far it goes before it may. */
class HeldLog extends MemoryLog {
  readonly held = Promise.withResolvers<void>();

  override async bounds(partition: number): Promise<LogBounds> {
    await this.held.promise;
    return await super.bounds(partition);
  }
}

test('it is ready once its shards are open', async () => {
  await withFolder(async (dir) => {
    const log = new HeldLog(PARTITIONS);
    const config = readMaterializerConfig({
      MEMPLANE_MATERIALIZER_DIR: dir,
      MEMPLANE_MATERIALIZER_PORT: '0',
    });
    const logger = createLogger('test', 'silent');
    const service = await createMaterializer(config, { logReader: log, logger });
    const started = service.start();
    const ready = async () => {
      if (service.port === 0) return undefined;
      return (await fetch(`http://127.0.0.1:${service.port}/readyz`)).status;
    };
    assert.equal(await eventually('it answers', 10_000, ready), 503);
    log.held.resolve();
    await started;
    assert.equal(await ready(), 200);
    await service.drain();
    await service.stop();
  });
});

test('derived counters are sent with their position, and again after a failure', async () => {
  const parts = new Map<string, { offset: number; value: number }>();
  const complete = Promise.withResolvers<void>();
  let calls = 0;
  const invoker: Invoker = {
    async invoke(_service, _method, path, { body }) {
      if (calls++ === 0) throw new Error('not there yet');
      parts.set(path, body as { offset: number; value: number });
      const values = (name: string) =>
        [...parts].filter(([p]) => p.includes(name)).reduce((sum, [, part]) => sum + part.value, 0);
      if (values('events_total') === 4 && values('active_sessions') === 1) complete.resolve();
      return {};
    },
    stream: () => Promise.reject(new Error('unused')),
  };
  await withService(
    async ({ append }) => {
      append({ id: '1', entity: 'session/a', type: 'SessionStarted' });
      append({ id: '2', entity: 'session/b', type: 'SessionStarted' });
      append({ id: '3', entity: 'session/a', type: 'SessionEnded' });
      append({ id: '4', entity: 'user/a', type: 'SessionStarted' });
      await complete.promise;
    },
    { invoker },
  );
});

test('a restart goes on where the views were; views of another log are refused', async () => {
  await withFolder(async (dir) => {
    const log = new MemoryLog(PARTITIONS);
    await withService(
      async ({ append, get }) => {
        const token = append({ id: 'a', entity: 'user/1', data: { attributes: { n: 1 } } });
        await get(`/v1/entities/user/1?after=${token}`);
      },
      { dir, log },
    );
    await withService(
      async ({ append, get }) => {
        const token = append({ id: 'b', entity: 'user/1', data: { attributes: { m: 2 } } });
        const { body } = await get(`/v1/entities/user/1?after=${token}`);
        assert.deepEqual([body.attributes, body.sequence], [{ n: 1, m: 2 }, 2]);
      },
      { dir, log },
    );
    const stranger = new MemoryLog(PARTITIONS);
    Object.assign(stranger, { info: { ...stranger.info, logId: crypto.randomUUID() } });
    await assert.rejects(
      withService(async () => {}, { dir, log: stranger }),
      { code: 'token_of_another_log' },
    );
  });
});
