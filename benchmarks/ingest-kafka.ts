/**
 * Ingest to Kafka over HTTP against what the same Node client does with the same CloudEvents, which
 * were finished before: no HTTP, no JSON, no check, no stamp. Kafka's own producer, with these events
 * too, is printed beside it. All are idempotent, acknowledged by all, packed by zstd, on one broker;
 * interleaved. CPU time is printed beside the rates, since load and broker share the machine.
 *
 *     node benchmarks/ingest-kafka.ts [rounds] [ms per run]
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createEventIngest, readIngestConfig } from '@memplane/event-ingest';
import { openKafkaLog } from '@memplane/event-log/kafka';
import { kafkaLibs, startKafka } from '@memplane/stack';
import { finishedEvents } from './lib/finished-events.ts';
import { type KafkaClient, openDriver } from './lib/kafka-clients.ts';
import { LoadThread } from './lib/load-thread.ts';
import { interleave, ratio, summarize } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';

const [ROUNDS = SHORT ? 1 : 5, RUN_MS = SHORT ? 500 : 3_000] = process.argv.slice(2).map(Number);
const PARTITIONS = 12;
const WRITERS = 8;
const BATCH = 500;
const ENTITIES = 10_000;
const PERF_RECORDS = SHORT ? 20_000 : 400_000;
const PERF_HEAP_MIB = 256;
const OURS = 'ingest over HTTP';
const PEER = 'the same client, the same finished CloudEvents';

const run = promisify(execFile);
const dir = mkdtempSync(join(tmpdir(), 'memplane-ingest-kafka-'));
const { server, plan } = await startKafka({ dir: join(dir, 'kafka'), heapMib: 1024 });
const { brokers } = plan;
/** A batch for each writer. */
const batches = Array.from({ length: WRITERS }, (_, seed) =>
  finishedEvents({ events: BATCH, entities: ENTITIES, seed }, PARTITIONS),
);
const payloads = join(dir, 'payloads');
writeFileSync(payloads, batches.flatMap((one) => one.map(({ value }) => `${value}\n`)).join(''));

/** CPU time of this process for each event, in µs, by name of what was measured; every round. */
const cpuMicros = new Map<string, number[]>();

/** @returns events per second */
async function measured(
  name: string,
  run: () => Promise<{ events: number; elapsedMs: number }>,
): Promise<number> {
  const before = process.cpuUsage();
  const { events, elapsedMs } = await run();
  const { user, system } = process.cpuUsage(before);
  cpuMicros.set(name, [...(cpuMicros.get(name) ?? []), (user + system) / events]);
  return (events / elapsedMs) * 1000;
}

function cpuOf(name: string): string {
  const values = (cpuMicros.get(name) ?? []).slice(1); // the first one warms up
  return values.length === 0 ? '' : `${summarize(name, values).median.toFixed(1)} µs`;
}

async function openIngest() {
  const log = await openKafkaLog({
    brokers,
    topic: 'ingested',
    partitionsInitial: PARTITIONS,
    create: { partitions: PARTITIONS, replicas: 1 },
  });
  const config = readIngestConfig({
    MEMPLANE_EVENT_INGEST_PORT: '0',
    MEMPLANE_LOG_LEVEL: 'warn',
  });
  const service = await createEventIngest(config, { logWriter: log.writer });
  await service.start();
  const close = async () => {
    await service.drain();
    await service.stop();
    await log.writer.close();
  };
  return { port: service.port, close };
}

/** What callers of the client have sent. */
async function produce(client: KafkaClient): Promise<{ events: number; elapsedMs: number }> {
  let events = 0;
  const started = performance.now();
  await Promise.all(
    batches.map(async (batch) => {
      while (performance.now() - started < RUN_MS) {
        await client.send(batch);
        events += BATCH;
      }
    }),
  );
  return { events, elapsedMs: performance.now() - started };
}

/** @returns records per second by `kafka-producer-perf-test` */
async function perfTest(libs: string): Promise<number> {
  const properties = [
    'acks=all',
    'compression.type=zstd',
    'linger.ms=5',
    'enable.idempotence=true',
  ];
  const { stdout } = await run('java', [
    ...[`-Xmx${PERF_HEAP_MIB}m`, '-cp', join(libs, '*')],
    ...['org.apache.kafka.tools.ProducerPerformance', '--topic', 'produced'],
    ...['--num-records', `${PERF_RECORDS}`, '--payload-file', payloads],
    ...['--throughput', '-1', '--producer-props', `bootstrap.servers=${brokers.join()}`],
    ...properties,
  ]);
  const rate = /, ([\d.]+) records\/sec/.exec(stdout.trim().split('\n').at(-1) ?? '')?.[1];
  if (rate === undefined) throw new Error(`kafka-producer-perf-test: ${stdout}`);
  return Number(rate);
}

try {
  const libs = await kafkaLibs();
  const ingest = await openIngest();
  const client = await openDriver(brokers, 'produced', PARTITIONS);
  const load = new LoadThread({ events_per_request: BATCH, entities: ENTITIES });
  const order = { port: ingest.port, path: '/v1/events', connections: WRITERS, durationMs: RUN_MS };
  const [ours, peer, perf] = await interleave(
    [
      { name: OURS, run: () => measured(OURS, () => load.run(order)) },
      { name: PEER, run: () => measured(PEER, () => produce(client)) },
      { name: 'kafka-producer-perf-test', run: () => perfTest(libs) },
    ],
    ROUNDS,
  );
  await load.end();
  await client.close();
  await ingest.close();
  if (ours && peer && perf) {
    console.table(
      [ours, peer, perf].map(({ name, median, spread }) => ({
        what: name,
        'events/s': Math.round(median),
        spread: `${Math.round(spread * 100)} %`,
        'CPU of this process, an event': cpuOf(name),
      })),
    );
    const what = `ingest to Kafka over HTTP, ${WRITERS} writers, batches of ${BATCH}`;
    const note = `CPU of the client's process for each event: ${cpuOf(OURS)} against ${cpuOf(PEER)}`;
    emitRow(what, atLeast(0.6), ratio('', ours, peer), { against: peer.name, note });
    emitRow(what, atLeast(0.15), ratio('', ours, perf), { against: perf.name });
  }
} finally {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
}
