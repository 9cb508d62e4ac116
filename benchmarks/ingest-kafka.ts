/**
 * Ingest to Kafka over HTTP against what the same Node client does with finished CloudEvents of the
 * same size: no HTTP, no JSON, no check, no stamp. Kafka's own producer is printed beside it. All
 * are idempotent, acknowledged by all, packed by zstd, on one broker; interleaved.
 *
 *     node benchmarks/ingest-kafka.ts [rounds] [ms per run]
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createEventIngest, readIngestConfig } from '@memplane/event-ingest';
import { openKafkaLog } from '@memplane/event-log/kafka';
import { kafkaLibs, startKafka } from '@memplane/stack';
import { type KafkaClient, openDriver, someRecords } from './lib/kafka-clients.ts';
import { LoadThread } from './lib/load-thread.ts';
import { interleave, ratio } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';

const [ROUNDS = SHORT ? 1 : 5, RUN_MS = SHORT ? 500 : 3_000] = process.argv.slice(2).map(Number);
const PARTITIONS = 12;
const WRITERS = 8;
const BATCH = 500;
const RECORD_BYTES = 500;
const PERF_RECORDS = SHORT ? 20_000 : 400_000;
const PERF_HEAP_MIB = 256;

const run = promisify(execFile);
const dir = mkdtempSync(join(tmpdir(), 'memplane-ingest-kafka-'));
const { server, plan } = await startKafka({ dir: join(dir, 'kafka'), heapMib: 1024 });
const { brokers } = plan;

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

/** @returns events per second that callers of the client have sent */
async function produce(client: KafkaClient): Promise<number> {
  const batches = Array.from({ length: WRITERS }, () => someRecords(BATCH, PARTITIONS));
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
  return (events / (performance.now() - started)) * 1000;
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
    ...['--num-records', `${PERF_RECORDS}`, '--record-size', `${RECORD_BYTES}`],
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
  const load = new LoadThread({ events_per_request: BATCH, entities: 10_000 });
  const order = { port: ingest.port, path: '/v1/events', connections: WRITERS, durationMs: RUN_MS };
  const [ours, peer, perf] = await interleave(
    [
      {
        name: 'ingest over HTTP',
        run: async () => {
          const { events, elapsedMs } = await load.run(order);
          return (events / elapsedMs) * 1000;
        },
      },
      { name: 'the same client, finished CloudEvents', run: () => produce(client) },
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
      })),
    );
    const what = `ingest to Kafka over HTTP, ${WRITERS} writers, batches of ${BATCH}`;
    emitRow(what, atLeast(0.6), ratio('', ours, peer), { against: peer.name });
    emitRow(what, atLeast(0.15), ratio('', ours, perf), { against: perf.name });
  }
} finally {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
}
