/*
 * Which client the log's driver on Kafka should stand on: what each does with the same finished
 * CloudEvents, the same brokers, idempotent and acknowledged by all, packed by zstd; interleaved.
 * Then the broker is killed amid sends of all, and the log is looked through.
 *
 *   node benchmarks/kafka-client.ts [rounds]
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startKafka } from '@memplane/stack';
import { percentile } from '@memplane/testkit';
import {
  type Drain,
  drainByDriver,
  drainByKafkajs,
  drainByPlatformatic,
  type KafkaClient,
  openDriver,
  openKafkajs,
  openPlatformatic,
  someRecords,
} from './lib/kafka-clients.ts';
import { killAmidSends, ORDER_PARTITIONS } from './lib/kafka-order.ts';
import { interleave, ratio } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';

const ROUNDS = Number(process.argv[2] ?? (SHORT ? 1 : 5));
const PARTITIONS = 12;
const CALLERS = 8;
const BATCH = 500;
const CALLS = SHORT ? 2 : 10;
const KILLS = SHORT ? 1 : 2;

const dir = mkdtempSync(join(tmpdir(), 'memplane-kafka-client-'));
const { server, plan } = await startKafka({ dir, heapMib: 1024 });
const { brokers } = plan;

async function makeTopic(topic: string, partitions = PARTITIONS): Promise<string> {
  await (await openDriver(brokers, topic, partitions)).close();
  return topic;
}

/** Events per second, and what they cost this process. */
async function throughput(client: KafkaClient, cost: number[]): Promise<number> {
  const batches = Array.from({ length: CALLERS }, () => someRecords(BATCH, PARTITIONS));
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  await Promise.all(
    batches.map(async (mine) => {
      for (let i = 0; i < CALLS; i++) await client.send(mine);
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const events = CALLERS * CALLS * BATCH;
  cost.push((user + system) / events);
  return events / seconds;
}

/** Milliseconds from a single event's send to its acknowledgement, one every 10 ms. */
async function latencies(client: KafkaClient, count: number): Promise<number[]> {
  const found: number[] = [];
  for (const record of someRecords(count, PARTITIONS)) {
    const sentAt = performance.now();
    await client.send([record]);
    found.push(performance.now() - sentAt);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return found;
}

const rounded = (values: readonly number[], p: number) => Number(percentile(values, p).toFixed(2));

try {
  const clients = [
    await openDriver(brokers, await makeTopic('driver'), PARTITIONS),
    openPlatformatic(brokers, await makeTopic('platformatic'), false),
    openPlatformatic(brokers, await makeTopic('overlapping'), true),
    await openKafkajs(brokers, await makeTopic('kafkajs')),
  ];
  const costs = clients.map(() => [] as number[]);
  const failed = clients.map(() => '');
  const sent = await interleave(
    clients.map((client, i) => ({
      name: client.name,
      run: () =>
        throughput(client, costs[i] ?? []).catch((error: unknown) => {
          failed[i] = String(error).slice(0, 60);
          return Number.NaN;
        }),
    })),
    ROUNDS,
  );
  const waits = clients.map(() => [] as number[]);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, client] of clients.entries()) {
      waits[i]?.push(...(await latencies(client, SHORT ? 20 : 60)));
    }
  }
  console.log(`\nproducing: ${CALLERS} callers × ${BATCH} events a call, then one event at a time`);
  console.table(
    sent.map(({ name, median, spread }, i) => ({
      client: name,
      'events/s': Math.round(median),
      '± %': Math.round(spread * 100),
      'CPU µs/event': rounded(costs[i] ?? [], 0.5),
      'p50 ms': rounded(waits[i] ?? [], 0.5),
      'p99 ms': rounded(waits[i] ?? [], 0.99),
      failed: failed[i],
    })),
  );
  for (const client of clients) await client.close();

  const events = CALLERS * CALLS * BATCH * (ROUNDS + 1);
  const drains: [string, Drain][] = [
    ['the driver', drainByDriver],
    ['@platformatic/kafka', drainByPlatformatic],
    ['kafkajs', drainByKafkajs],
  ];
  const readCosts = drains.map(() => [] as number[]);
  const read = await interleave(
    drains.map(([name, drain], i) => ({
      name,
      run: async () => {
        const cpu = process.cpuUsage();
        const startedAt = performance.now();
        const count = await drain(brokers, 'driver', events);
        const { user, system } = process.cpuUsage(cpu);
        readCosts[i]?.push((user + system) / count);
        return (count / (performance.now() - startedAt)) * 1000;
      },
    })),
    ROUNDS,
  );
  console.log(`\nreading ${events.toLocaleString('en')} events back, checksums by the driver only`);
  console.table(
    read.map(({ name, median, spread }, i) => ({
      client: name,
      'events/s': Math.round(median),
      '± %': Math.round(spread * 100),
      'CPU µs/event': rounded(readCosts[i] ?? [], 0.5),
    })),
  );
  const [driver, oneByOne, , js] = sent;
  const [driverRead, , jsRead] = read;
  if (driver && oneByOne && js && driverRead && jsRead) {
    const goal = atLeast(1);
    emitRow('producing to Kafka', goal, ratio('', driver, oneByOne), {
      against: '@platformatic/kafka',
    });
    emitRow('producing to Kafka', goal, ratio('', driver, js), { against: 'kafkajs' });
    emitRow('reading from Kafka', goal, ratio('', driverRead, jsRead), { against: 'kafkajs' });
  }

  const names = ['k-driver', 'k-platformatic', 'k-overlapping', 'k-kafkajs'] as const;
  for (const name of names) await makeTopic(name, ORDER_PARTITIONS);
  const toKill = new Map<string, KafkaClient>([
    [names[0], await openDriver(brokers, names[0], ORDER_PARTITIONS)],
    [names[1], openPlatformatic(brokers, names[1], false)],
    [names[2], openPlatformatic(brokers, names[2], true)],
    [names[3], await openKafkajs(brokers, names[3])],
  ]);
  console.log(`\nthe broker is killed ${KILLS} times amid sends`);
  console.table(await killAmidSends(server, brokers, toKill, KILLS));
  await Promise.race([
    Promise.all([...toKill.values()].map((client) => client.close())),
    new Promise((resolve) => setTimeout(resolve, 5_000)),
  ]);
} finally {
  await server.kill();
  rmSync(dir, { recursive: true, force: true });
}
process.exit(process.exitCode ?? 0);
