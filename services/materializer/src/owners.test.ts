import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import { decodeToken, encodeToken } from '@memplane/contracts';
import {
  type LogReadOptions,
  type LogRecord,
  type PartitionAssignment,
  partitionOf,
} from '@memplane/event-log';
import { createLogger } from '@memplane/runtime';
import { freePorts } from '@memplane/testkit/ports';
import fc from 'fast-check';
import { readMaterializerConfig } from './config.ts';
import { HttpPeers } from './drivers/http-peers.ts';
import { naiveFold } from './naive-fold.ts';
import { createMaterializer, type Materializer } from './service.ts';
import { MemoryLog, TEST_LOG_ID, withFolder } from './testing.ts';
import { ScriptedGroup } from './testing-group.ts';

const PARTITIONS = 3;
const ENTITIES = ['user/1', 'user/2', 'user/3', 'user/4', 'user/5'];
const START_MS = 1_700_000_000_000;
const logger = createLogger('test', 'silent');

// biome-ignore lint/suspicious/noExplicitAny: answers are looked at freely in tests
type Body = any;

interface Member {
  readonly service: Materializer;
  readonly ownership: PartitionAssignment & { wake(): void };
}

const READ_MS = 2;
const READ_RECORDS_MAX = 2;

/** A log that is followed slowly: who takes a partition over is behind for a while. */
class SlowLog extends MemoryLog {
  override async read(
    partition: number,
    from: number,
    options: LogReadOptions,
  ): Promise<LogRecord[]> {
    await new Promise((resolve) => setTimeout(resolve, READ_MS));
    return super.read(partition, from, { ...options, maxRecords: READ_RECORDS_MAX });
  }
}

/** Two instances in one process, with everything real but the group that gives partitions out. */
class World {
  readonly log = new SlowLog(PARTITIONS);
  readonly group = new ScriptedGroup();
  readonly records: LogRecord[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly members: Member[] = [];
  readonly outcomes: string[] = [];
  /** By entity: the highest count that was told, and that was appended. */
  readonly #told = new Map<string, number>();
  readonly #appended = new Map<string, { n: number; token: string }>();
  #n = 0;

  async add(dir: string): Promise<void> {
    const [port = 0, peerPort = 0] = await freePorts(2);
    const config = readMaterializerConfig({
      MEMPLANE_MATERIALIZER_DIR: dir,
      MEMPLANE_MATERIALIZER_PORT: String(port),
      MEMPLANE_MATERIALIZER_PEER_PORT: String(peerPort),
      MEMPLANE_INSTANCE: `instance-${this.members.length}`,
    });
    const self = `http://127.0.0.1:${peerPort}`;
    const ownership = this.group.join(self);
    const peers = new HttpPeers({ self, ownership, token: undefined });
    const context = { logReader: this.log, ownership, peers, logger };
    const service = await createMaterializer(config, context);
    await service.start();
    this.members.push({ service, ownership });
  }

  append(entity: string): void {
    const n = ++this.#n;
    const partition = partitionOf(entity, PARTITIONS);
    const hlc = firstHlcOf(START_MS + n);
    const record = this.log.append(partition, {
      id: `e${n}`,
      entity,
      hlc,
      data: { attributes: { n } },
    });
    this.records[partition]?.push(record);
    const offsets = new Map([[partition, record.offset]]);
    this.#appended.set(entity, {
      n,
      token: encodeToken({ logId: TEST_LOG_ID, epoch: 0, offsets }),
    });
  }

  async get(member: number, path: string): Promise<{ status: number; body: Body }> {
    const response = await fetch(`http://127.0.0.1:${this.members[member]?.service.port}${path}`);
    return { status: response.status, body: await response.json() };
  }

  /** A read, held against what was told or appended before it was asked. */
  async read(member: number, entity: string, withToken: boolean): Promise<void> {
    const appended = this.#appended.get(entity);
    if (appended === undefined) return;
    const atLeast = Math.max(this.#told.get(entity) ?? 0, withToken ? appended.n : 0);
    const query = withToken ? `?after=${appended.token}` : '';
    const { status, body } = await this.get(member, `/v1/entities/${entity}${query}`);
    this.outcomes.push(status === 200 ? 'ok' : body.code);
    if (status === 200) {
      assert.ok(body.attributes.n >= atLeast, `${entity}: ${body.attributes.n} after ${atLeast}`);
      this.#told.set(entity, Math.max(body.attributes.n, this.#told.get(entity) ?? 0));
    } else if (atLeast === 0) assert.ok(['owner_moving', 'not_found'].includes(body.code));
    else assert.equal(body.code, 'owner_moving');
  }

  async stop(): Promise<void> {
    for (const { service } of this.members) await service.drain();
    for (const { service } of this.members) await service.stop();
  }
}

async function withWorld(work: (world: World) => Promise<void>): Promise<void> {
  await withFolder(async (dir) => {
    const world = new World();
    try {
      for (const name of ['a', 'b']) await world.add(join(dir, name));
      await work(world);
    } finally {
      await world.stop();
    }
  });
}

const partition = fc.nat(PARTITIONS - 1);
const member = fc.nat(1);
const entity = fc.constantFrom(...ENTITIES);
const step = fc.oneof(
  {
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      entity,
      count: fc.integer({ min: 1, max: 8 }),
    }),
    weight: 3,
  },
  {
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      member,
      entity,
      withToken: fc.boolean(),
    }),
    weight: 4,
  },
  fc.record({ kind: fc.constant('move' as const), partition, to: member }),
  fc.record({ kind: fc.constant('lose' as const), partition, to: member, isAsleep: fc.boolean() }),
  fc.record({ kind: fc.constant('wake' as const), member }),
  { arbitrary: fc.constant({ kind: 'settle' as const }), weight: 2 },
);

test('however partitions move: no answer is old, nothing is applied twice, all answers agree', async () => {
  let answered = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 20, maxLength: 60, size: 'max' }),
      async (steps) => {
        await withWorld(async (world) => {
          for (const p of [0, 1, 2]) await world.group.move(p, p % 2);
          const reads: Promise<void>[] = [];
          for (const one of steps) {
            if (one.kind === 'append') {
              for (let n = 0; n < one.count; n++) world.append(one.entity);
            } else if (one.kind === 'settle') await Promise.all(reads);
            else if (one.kind === 'read')
              reads.push(world.read(one.member, one.entity, one.withToken));
            else if (one.kind === 'move') await world.group.move(one.partition, one.to);
            else if (one.kind === 'lose') {
              await world.group.lose(one.partition, one.to, one.isAsleep);
            } else world.members[one.member]?.ownership.wake();
            await new Promise((resolve) => setImmediate(resolve));
          }
          await Promise.all(reads);
          answered += world.outcomes.filter((outcome) => outcome === 'ok').length;
          await checkAgreement(world);
        });
      },
    ),
    { numRuns: 12 },
  );
  // Fewer are where the machine is busy: most reads then meet a partition that moves.
  assert.ok(answered > 20, `only ${answered} reads were answered`);
});

/** Every instance tells every entity as an independent fold has it, and the same digest. */
async function checkAgreement(world: World): Promise<void> {
  for (const { ownership } of world.members) ownership.wake();
  const fold = naiveFold(world.records.flat());
  const offsets = new Map(world.records.map((records, p) => [p, records.length - 1]));
  const token = encodeToken({ logId: TEST_LOG_ID, epoch: 0, offsets });
  const digests = new Set<string>();
  for (const n of world.members.keys()) {
    for (const [name, expected] of fold.entities) {
      const { status, body } = await world.get(
        n,
        `/v1/entities/${name}?after=${token}&waitMs=20000`,
      );
      assert.equal(status, 200, JSON.stringify(body));
      assert.deepEqual([body.attributes, body.sequence], [expected.attributes, expected.sequence]);
    }
    digests.add((await world.get(n, '/v1/digest')).body.digest);
    const { body } = await world.get(n, '/v1/shards');
    const totals = body.shards.map((shard: { eventsTotal: number }) => shard.eventsTotal);
    assert.deepEqual(
      totals,
      world.records.map((records) => records.length),
    );
  }
  assert.equal(digests.size, 1);
}

test('an owner that sleeps through the loss of a partition answers nothing of it', async () => {
  await withWorld(async (world) => {
    for (const p of [0, 1, 2]) await world.group.move(p, 0);
    world.append('user/1');
    await world.read(0, 'user/1', true);
    const p = partitionOf('user/1', PARTITIONS);
    await world.group.lose(p, 1, true);
    world.append('user/1');
    await world.read(1, 'user/1', true);
    // Instance 0 has heard of nothing, and would still have the first state.
    await world.read(0, 'user/1', false);
    assert.deepEqual(world.outcomes, ['ok', 'ok', 'ok']);
    const feed = await fetch(
      `http://127.0.0.1:${world.members[0]?.service.port}/v1/feeds/memory-views?partition=${p}`,
    );
    assert.match(await feed.text(), /"ownerEpoch":4,.*"attributes":\{"n":2\}/);
  });
});

test('the token of a latest read names every partition, whoever owns it', async () => {
  await withWorld(async (world) => {
    for (const p of [0, 1, 2]) await world.group.move(p, p % 2);
    for (const entity of ENTITIES) world.append(entity);
    for (const entity of ENTITIES) await world.read(0, entity, true);
    const deadline = performance.now() + 20_000;
    for (;;) {
      const { body } = await world.get(0, '/v1/entities/user/1');
      const { offsets } = decodeToken(body.token, 'token');
      const told = world.records.map((_, p) => offsets.get(p) ?? -1);
      if (told.every((offset, p) => offset === (world.records[p]?.length ?? 0) - 1)) break;
      assert.ok(performance.now() < deadline, `the token stays at ${told}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
});

test('a partition that nobody owns is told to be moving, and so is one of an earlier epoch', async () => {
  await withWorld(async (world) => {
    for (const p of [0, 1]) await world.group.move(p, 0);
    await world.group.move(2, 1);
    world.append('user/1');
    const owner = partitionOf('user/1', PARTITIONS) === 2 ? 1 : 0;
    await world.read(owner, 'user/1', true);
    await world.members[owner]?.ownership.close();
    const { status, body } = await world.get(1 - owner, '/v1/entities/user/1?waitMs=100');
    assert.deepEqual([status, body.code, body.transient], [503, 'owner_moving', true]);
    assert.ok(body.retryAfterMs > 0);
    const shards = await world.get(1 - owner, '/v1/shards');
    assert.ok(shards.body.moving.includes(partitionOf('user/1', PARTITIONS)));
    const query = await fetch(`http://127.0.0.1:${world.members[owner]?.service.port}/v1/query`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ waitMs: 50 }),
    });
    assert.equal(query.status, 503);
  });
});
