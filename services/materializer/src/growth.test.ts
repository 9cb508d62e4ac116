import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import { encodeToken } from '@memplane/contracts';
import {
  type EmbeddedLog,
  type NewRecord,
  openEmbeddedLog,
  openEmbeddedReader,
  partitionOf,
} from '@memplane/event-log';
import { createLogger } from '@memplane/runtime';
import { readMaterializerConfig } from './config.ts';
import { createMaterializer, type Materializer } from './service.ts';
import { cloudEvent, withFolder } from './testing.ts';

const ENTITIES = 60;
const TRIES_MAX = 200;
const START_MS = 1_700_000_000_000;
const entityOf = (n: number) => `user/${n}`;

// biome-ignore lint/suspicious/noExplicitAny: answers are looked at freely in tests
type Body = any;

async function get(service: Materializer, path: string): Promise<{ status: number; body: Body }> {
  for (let tries = 0; ; tries++) {
    const response = await fetch(`http://127.0.0.1:${service.port}${path}`);
    const body: Body = await response.json();
    // A shard that is being split is moving, as when its owner changes: the caller comes again.
    if (response.status !== 503 || body.code !== 'owner_moving') {
      return { status: response.status, body };
    }
    assert.ok(tries < TRIES_MAX, `${path}: ${JSON.stringify(body)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Appends numbered events, each entity's in order, as event-ingest does. */
class Writer {
  readonly #log: EmbeddedLog;
  #ms = START_MS;
  /** By entity: how many events it has. */
  readonly counts = new Map<string, number>();

  constructor(log: EmbeddedLog) {
    this.#log = log;
  }

  /** @returns the token of the round */
  async round(): Promise<string> {
    const { writer } = this.#log;
    while (writer.growing) await writer.growing;
    const { logId, epoch, partitions } = writer.info;
    const records = Array.from({ length: ENTITIES }, (_, n) => this.#next(entityOf(n), partitions));
    const appended = await writer.append(records);
    const offsets = new Map<number, number>();
    for (const [i, { partition }] of records.entries()) offsets.set(partition, appended[i] ?? -1);
    return encodeToken({ logId, epoch, partitions, offsets });
  }

  #next(entity: string, partitions: number): NewRecord {
    const count = (this.counts.get(entity) ?? 0) + 1;
    this.counts.set(entity, count);
    const hlc = firstHlcOf(++this.#ms);
    const memory = { id: `m${count % 3}`, text: `said ${count}` };
    const data = { attributes: { count, [`k${count % 5}`]: count }, memory };
    const event = cloudEvent({ id: `e${count}`, entity, hlc, data });
    return {
      partition: partitionOf(entity, partitions),
      key: entity,
      value: Buffer.from(JSON.stringify(event)),
      hlc,
      idDigest: randomBytes(16),
      contentDigest: randomBytes(16),
    };
  }
}

async function start(dir: string, log: EmbeddedLog): Promise<Materializer> {
  const config = readMaterializerConfig({
    MEMPLANE_MATERIALIZER_DIR: join(dir, 'views'),
    MEMPLANE_MATERIALIZER_PORT: '0',
  });
  const logReader = await openEmbeddedReader({ dir: join(dir, 'log'), shared: log.shared });
  const logger = createLogger('test', 'silent');
  const service = await createMaterializer(config, { logReader, logger });
  await service.start();
  return service;
}

/** All that is told of the shards and the views, once all is applied. */
async function digest(service: Materializer, token: string): Promise<unknown> {
  for (let n = 0; n < ENTITIES; n++) {
    await get(service, `/v1/entities/${entityOf(n)}?after=${token}`);
  }
  const { body } = await get(service, `/v1/digest?after=${token}`);
  return body;
}

async function checkEntities(service: Materializer, counts: Writer['counts'], after: string) {
  for (const [entity, count] of counts) {
    const { body } = await get(service, `/v1/entities/${entity}?after=${after}`);
    assert.deepEqual([body.sequence, body.attributes.count], [count, count], entity);
    const { body: history } = await get(service, `/v1/entities/${entity}/history?limit=500`);
    const ids = history.events.map(({ event }: Body) => event.id);
    assert.deepEqual(
      ids,
      Array.from({ length: count }, (_, i) => `e${i + 1}`),
      `${entity}: each event once, in order`,
    );
  }
}

test('a log grows under load, and its views with it: order, tokens of before, and equal digests', async () => {
  await withFolder(async (dir) => {
    const log = await openEmbeddedLog({ dir: join(dir, 'log'), partitions: 3 });
    const writer = new Writer(log);
    let service = await start(dir, log);
    let before = '';
    let newest = '';
    for (let round = 0; round < 40; round++) {
      newest = await writer.round();
      if (round === 9) before = newest;
      if (round === 10 || round === 25) void log.growth.grow();
      const n = round % ENTITIES;
      const { status, body } = await get(service, `/v1/entities/${entityOf(n)}?after=${newest}`);
      assert.equal(status, 200, JSON.stringify(body));
      assert.equal(body.sequence, round + 1, 'a read includes what its token names');
    }
    assert.equal(log.writer.info.partitions, 12);
    await checkEntities(service, writer.counts, newest);

    const past = await get(service, `/v1/entities/${entityOf(7)}?asOf=token:${before}`);
    assert.deepEqual([past.body.sequence, past.body.attributes.count], [10, 10]);
    const offset = past.body.asOf.offset;
    for (const asOf of [`offset:0.${offset}`, `offset:${offset}`, 'event:e10']) {
      const { body } = await get(service, `/v1/entities/${entityOf(7)}?asOf=${asOf}`);
      assert.equal(body.sequence, 10, asOf);
    }
    const shards = await get(service, '/v1/shards');
    assert.deepEqual([shards.body.epoch, shards.body.shards.length], [2, 12]);

    const split = await digest(service, newest);
    await service.stop();
    service = await start(dir, log);
    assert.deepEqual(await digest(service, newest), split, 'after a restart');
    await service.stop();
    await rm(join(dir, 'views'), { recursive: true });
    service = await start(dir, log);
    assert.deepEqual(await digest(service, newest), split, 'made anew from the log');
    await service.stop();
    await log.writer.close();
  });
});
