import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { firstHlcOf } from '@memplane/clock';
import { type KafkaPlan, type ServerProcess, startKafka } from '@memplane/stack';
import { freePorts, TearingProxy } from '@memplane/testkit';
import { newRecord } from '../contract.ts';
import { follow } from '../follow.ts';
import type { LogReader, LogRecord } from '../port.ts';
import {
  type KafkaLogOptions,
  type OpenKafkaLogOptions,
  openKafkaLog,
  openKafkaReader,
} from './index.ts';
import { Closers, removeTopic } from './testing.ts';

const PARTITIONS = 4;
const ALL = { maxBytes: 64 * 1024 * 1024 };

const closers = new Closers();
let broker: ServerProcess;
let plan: KafkaPlan;
let dir: string;
/** Clients of the broker's second listener are sent to the second port, where a proxy may be. */
let proxied: { readonly port: number; readonly advertisedPort: number };

before(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'memplane-kafka-'));
  const [port = 0, advertisedPort = 0] = await freePorts(2);
  proxied = { port, advertisedPort };
  ({ server: broker, plan } = await startKafka({ dir, proxied }));
});
after(async () => {
  await closers.closeAll();
  await broker?.kill();
  rmSync(dir, { recursive: true, force: true });
});

function optionsFor(more: Partial<KafkaLogOptions> = {}): KafkaLogOptions {
  return {
    brokers: plan.brokers,
    topic: `log-${randomUUID()}`,
    partitionsInitial: PARTITIONS,
    requestTimeoutMs: 2_000,
    operationDeadlineMs: 40_000,
    deliveryDeadlineMs: 40_000,
    ...more,
  };
}

async function openLog(options: OpenKafkaLogOptions) {
  const log = await openKafkaLog(options);
  closers.add(log.writer);
  return log;
}

async function openReader(options: KafkaLogOptions) {
  return closers.add(await openKafkaReader(options));
}

const create = { partitions: PARTITIONS, replicas: 1 };

interface Sent {
  readonly n: number;
  readonly partition: number;
  readonly offset: number | undefined;
}

/**
 * Appends until it is told to stop: several chains, each of which owns a sequence of numbers in one
 * partition and sends the next only when the last was answered.
 */
class Load {
  readonly sent: Sent[] = [];
  readonly failures: unknown[] = [];
  #isStopping = false;
  #chains: Promise<void>[] = [];
  #n = 0;

  start(append: (partition: number, n: number) => Promise<number>, chains: number): void {
    this.#chains = Array.from({ length: chains }, (_, i) => this.#chain(append, i % PARTITIONS));
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await Promise.all(this.#chains);
  }

  async #chain(
    append: (partition: number, n: number) => Promise<number>,
    partition: number,
  ): Promise<void> {
    while (!this.#isStopping) {
      const n = this.#n++;
      try {
        this.sent.push({ n, partition, offset: await append(partition, n) });
      } catch (error) {
        this.failures.push(error);
        this.sent.push({ n, partition, offset: undefined });
      }
    }
  }
}

async function readAll(reader: LogReader, partition: number): Promise<LogRecord[]> {
  const { start, end } = await reader.bounds(partition);
  const all: LogRecord[] = [];
  for (let next = start; next < end; ) {
    const records = await reader.read(partition, next, ALL);
    assert.ok(records.length > 0, `nothing at ${next} of ${end}`);
    all.push(...records);
    next = (records.at(-1)?.offset ?? next) + 1;
  }
  return all;
}

/** Every acknowledged record is at its offset, nothing is there twice, what failed at most once. */
async function check(reader: LogReader, sent: readonly Sent[]): Promise<void> {
  const places = new Map<string, string>();
  for (let partition = 0; partition < PARTITIONS; partition++) {
    for (const record of await readAll(reader, partition)) {
      const was = places.get(record.key);
      assert.equal(was, undefined, `${record.key} is in the log twice: ${was}, ${record.offset}`);
      places.set(record.key, `${partition}/${record.offset}`);
    }
  }
  for (const { n, partition, offset } of sent) {
    if (offset === undefined) continue;
    assert.equal(places.get(`user/${n}`), `${partition}/${offset}`, `record ${n}`);
    places.delete(`user/${n}`);
  }
  const failed = new Set(sent.filter((s) => s.offset === undefined).map((s) => `user/${s.n}`));
  for (const key of places.keys()) assert.ok(failed.has(key), `${key} was never sent`);
}

async function underLoad(
  options: KafkaLogOptions,
  harm: (load: Load) => Promise<void>,
  brokers = options.brokers,
): Promise<Load> {
  const { writer } = await openLog({ ...options, brokers, create });
  const load = new Load();
  const following = new AbortController();
  const reader = await openReader({ ...options, brokers });
  const seen = Array.from({ length: PARTITIONS }, () => [] as number[]);
  const followers = seen.map(async (offsets, partition) => {
    for (;;) {
      try {
        const from = (offsets.at(-1) ?? -1) + 1;
        for await (const records of follow(reader, partition, from, following.signal)) {
          for (const { offset } of records) offsets.push(offset);
        }
        return;
      } catch (error) {
        assert.equal((error as { code: string }).code, 'dependency_unavailable');
      }
    }
  });
  load.start(async (partition, n) => {
    // Stamps of now: after a restart a broker forgets producers whose records look a day old.
    const hlc = firstHlcOf(Date.now());
    const [offset] = await writer.append([{ ...newRecord(partition, n, `value ${n}`), hlc }]);
    assert.ok(offset !== undefined);
    return offset;
  }, PARTITIONS * 4);
  try {
    await pause(500);
    await harm(load);
  } finally {
    await load.stop();
  }
  await writer.close();
  const checker = await openReader({ ...options, brokers: plan.brokers });
  await check(checker, load.sent);
  // The followers saw everything once, in order, through it all.
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const { end } = await checker.bounds(partition);
    while ((seen[partition]?.length ?? 0) < end) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.deepEqual(
      seen[partition],
      Array.from({ length: end }, (_, i) => i),
    );
  }
  following.abort();
  await Promise.all(followers);
  await reader.close();
  await checker.close();
  await removeTopic(options);
  return load;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until every partition has acknowledged more. */
async function grows(load: Load): Promise<void> {
  const count = (partition: number) =>
    load.sent.filter((one) => one.partition === partition && one.offset !== undefined).length;
  const deadline = performance.now() + 60_000;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const before = count(partition);
    while (count(partition) < before + 20) {
      assert.ok(performance.now() < deadline, 'appends go on');
      await pause(20);
    }
  }
}

describe('the log on Kafka when things break', () => {
  test('a broker that is killed amid appends and comes back: nothing lost, twice or failed', async () => {
    const load = await underLoad(optionsFor(), async (running) => {
      for (let round = 0; round < 3; round++) {
        await broker.kill();
        await pause(300);
        await broker.start();
        await grows(running);
      }
    });
    assert.deepEqual(load.failures, []);
  });

  test('a broker that is paused longer than a request may take: nothing lost, twice or failed', async () => {
    const load = await underLoad(optionsFor({ requestTimeoutMs: 1_000 }), async (running) => {
      broker.pause();
      await pause(4_000);
      broker.resume();
      await grows(running);
    });
    assert.deepEqual(load.failures, []);
  });

  test('a pause longer than the deadline: appends fail in time, and come no second time', async () => {
    const options = optionsFor({ requestTimeoutMs: 700, deliveryDeadlineMs: 1_500 });
    const load = await underLoad(options, async (running) => {
      broker.pause();
      await pause(5_000);
      assert.ok(running.failures.length > 0, 'they have failed before the broker came back');
      broker.resume();
      await grows(running);
    });
    assert.ok(load.failures.length > 0);
  });

  test('connections that are torn again and again: nothing lost, twice or failed', async () => {
    const proxy = closers.add(await TearingProxy.start(proxied.advertisedPort, proxied.port));
    try {
      const load = await underLoad(
        optionsFor(),
        async (running) => {
          for (let round = 0; round < 30; round++) {
            await pause(60);
            if (round % 2 === 0) proxy.tear();
            else proxy.loseAnswers();
          }
          await grows(running);
        },
        [`127.0.0.1:${proxied.advertisedPort}`],
      );
      assert.ok(proxy.torn > 30);
      assert.deepEqual(load.failures, []);
    } finally {
      await proxy.close();
    }
  });

  test('no broker at all: an error that says so, in time', async () => {
    const options = optionsFor({ brokers: ['127.0.0.1:9'], operationDeadlineMs: 500 });
    const startedAt = performance.now();
    await assert.rejects(openLog(options), { code: 'dependency_unavailable' });
    assert.ok(performance.now() - startedAt < 3_000);
  });

  test('a topic that was made anew is another log: nothing is read from it or appended', async () => {
    const options = optionsFor({ operationDeadlineMs: 2_000, deliveryDeadlineMs: 2_000 });
    const { writer } = await openLog({ ...options, create });
    const reader = await openReader(options);
    await writer.append([newRecord(0, 1, 'a'), newRecord(0, 2, 'b')]);
    await removeTopic(options);
    const next = await openLog({ ...options, operationDeadlineMs: 20_000, create });
    assert.notEqual(next.writer.info.logId, writer.info.logId);
    await next.writer.append([newRecord(0, 3, 'c')]);
    const isOther = (error: { code: string }) =>
      error.code === 'storage_damaged' || error.code === 'deadline_exceeded';
    await assert.rejects(writer.append([newRecord(0, 4, 'd')]), isOther);
    await assert.rejects(reader.read(0, 0, ALL), { code: 'storage_damaged' });
    assert.deepEqual(await next.writer.bounds(0), { start: 0, end: 1 });
    await Promise.all([writer.close(), next.writer.close(), reader.close()]);
    await removeTopic(options);
  });

  test('a byte that has changed on the disk is found, and the place is told', async () => {
    const options = optionsFor({ compression: 'none' });
    const { writer } = await openLog({ ...options, create });
    await writer.append([newRecord(1, 1, 'the first')]);
    await writer.append([newRecord(1, 2, 'the second')]);
    await writer.append([newRecord(1, 3, 'the third')]);
    const file = path.join(dir, 'data', `${options.topic}-1`, `${'0'.repeat(20)}.log`);
    const bytes = readFileSync(file);
    const at = bytes.indexOf('the second');
    assert.ok(at > 0);
    bytes.write('THE', at);
    writeFileSync(file, bytes);
    const reader = await openReader(options);
    assert.equal((await reader.read(1, 0, ALL)).length, 1);
    await assert.rejects(reader.read(1, 1, ALL), {
      code: 'storage_damaged',
      extra: { partition: 1, offset: 1 },
    });
    assert.equal((await reader.read(1, 2, ALL))[0]?.value.toString(), 'the third');
    await reader.close();
    await writer.close();
    await removeTopic(options);
  });

  test('an offset beyond the end is damage: a view can not be ahead of its log', async () => {
    const options = optionsFor();
    const { writer } = await openLog({ ...options, create });
    await writer.append([newRecord(2, 1, 'a')]);
    const reader = await openReader(options);
    assert.deepEqual(await reader.read(2, 1, ALL), []);
    await assert.rejects(reader.read(2, 5, ALL), { code: 'storage_damaged' });
    await reader.close();
    await writer.close();
    await removeTopic(options);
  });
});
