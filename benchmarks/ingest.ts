/**
 * Durable ingest over HTTP against what the same machine can do without us.
 *
 *   node benchmarks/ingest.ts [rounds] [ms per run]
 *
 * Batches: 8 connections append 500 events of about 400 bytes each time; the peer is 8 writers in
 * this process that parse the same JSON and put each event into a RocksDB batch, synced
 * (fdatasync of the write-ahead log, shared by the writers that overlap).
 * Single: 64 connections append one event each time; the peer is the same HTTP stack (Express,
 * body limits, JSON, the operation's schema), which writes the body's bytes to one file and
 * awaits one fdatasync shared by all requests under way.
 */

import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { appendEvents } from '@memplane/contracts';
import { createEventIngest, readIngestConfig } from '@memplane/event-ingest';
import { openEmbeddedLog } from '@memplane/event-log';
import { RocksStore } from '@memplane/rocks';
import { createLogger, createTelemetry, HttpServer } from '@memplane/runtime';
import { EventBatch } from './lib/event-bodies.ts';
import { LoadThread } from './lib/load-thread.ts';
import { interleave, type Measured, ratio } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';

const ROUNDS = Number(process.argv[2] ?? 5);
const RUN_MS = Number(process.argv[3] ?? (SHORT ? 300 : 1500));
const BATCH = 500;
const WRITERS = 8;
const CONNECTIONS = 64;
const ENTITIES = 10_000;

/** @returns events per second */
async function rateOf(load: LoadThread, port: number, connections: number): Promise<number> {
  const order = { port, path: '/v1/events', connections, durationMs: RUN_MS };
  const { events, elapsedMs } = await load.run(order);
  return (events / elapsedMs) * 1000;
}

/** 8 writers in this process: parse, put, sync. */
async function rocksWriters(store: RocksStore, batches: EventBatch[], ids: { next: number }) {
  let events = 0;
  const started = performance.now();
  const end = started + RUN_MS;
  await Promise.all(
    batches.map(async (batch) => {
      while (performance.now() < end) {
        batch.renumber(ids.next);
        ids.next += batch.count;
        const parsed = JSON.parse(batch.bytes.toString()) as { id: string; entity: string }[];
        const write = store.batch();
        for (const event of parsed) {
          write.put(
            Buffer.from(`${event.entity}\0${event.id}`),
            Buffer.from(JSON.stringify(event)),
          );
        }
        await store.write(write, { sync: true });
        events += batch.count;
      }
    }),
  );
  return (events / (performance.now() - started)) * 1000;
}

/** Stores nothing but the bytes, durably: requests under way share one fdatasync. */
async function createSyncPeer(dir: string): Promise<{ port: number; stop: () => Promise<void> }> {
  const file = await open(path.join(dir, 'peer.log'), 'w');
  let waiting: { bytes: Buffer; done: () => void }[] = [];
  let running = false;
  const run = async () => {
    running = true;
    while (waiting.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      const now = waiting;
      waiting = [];
      await file.writev(now.map((one) => one.bytes));
      await file.datasync();
      for (const one of now) one.done();
    }
    running = false;
  };
  const telemetry = await createTelemetry({
    serviceName: 'peer',
    version: '0',
    otlpEndpoint: undefined,
    flushTimeoutMs: 100,
  });
  const server = new HttpServer({
    name: 'peer',
    version: '0',
    description: 'stores bytes',
    host: '127.0.0.1',
    port: 0,
    token: undefined,
    telemetry,
    logger: createLogger('peer', 'warn'),
    inflight_requests_max: 1024,
    connections_max: 1024,
    drainTimeoutMs: 1000,
    readiness: () => ({ ready: true }),
    routes: [
      {
        operation: appendEvents,
        async handle(request) {
          await new Promise<void>((done) => {
            waiting.push({ bytes: Buffer.from(JSON.stringify(request.body)), done });
            if (!running) void run();
          });
          return { status: 201, body: { accepted: [] } };
        },
      },
    ],
  });
  const port = await server.listen();
  return {
    port,
    async stop() {
      await server.stop();
      await file.close();
    },
  };
}

function print(row: string, ours: Measured, peer: Measured, goal: number): void {
  const part = ratio('ratio', ours, peer);
  emitRow(row, atLeast(goal), part, { against: peer.name, seeds: 'events by their number' });
  const figure = (m: Measured, digits = 0) =>
    `${m.median.toLocaleString('en', { maximumFractionDigits: digits })} ±${(m.spread * 100).toFixed(1)} %`;
  console.log(
    `| ${row} | ${figure(ours)} | ${peer.name}: ${figure(peer)} | ${figure(part, 3)} | ≥ ${goal} |`,
  );
}

const dir = await mkdtemp(path.join(tmpdir(), 'memplane-bench-ingest-'));
try {
  const log = await openEmbeddedLog({ dir: path.join(dir, 'log') });
  const config = readIngestConfig({
    MEMPLANE_EVENT_INGEST_PORT: '0',
    MEMPLANE_LOG_LEVEL: 'warn',
  });
  const service = await createEventIngest(config, { logWriter: log.writer });
  await service.start();
  const store = await RocksStore.open(path.join(dir, 'rocks'));
  const peer = await createSyncPeer(dir);
  const batchLoad = new LoadThread({ events_per_request: BATCH, entities: ENTITIES }, 0);
  const singleLoad = new LoadThread({ events_per_request: 1, entities: ENTITIES }, 5e11);
  const batches = Array.from({ length: WRITERS }, (_, i) => new EventBatch(BATCH, ENTITIES, i));
  const bytes = Math.round((batches[0]?.bytes.length ?? 0) / BATCH);
  const ids = { next: 0 };

  console.log(`events of ${bytes} bytes; ${ROUNDS} rounds of ${RUN_MS} ms; events per second\n`);
  console.log('| what | ours | against | ratio | goal |\n|---|---|---|---|---|');
  const only = process.argv[4];
  if (only !== 'single') {
    const [a, b] = await interleave(
      [
        { name: 'ours', run: () => rateOf(batchLoad, service.port, WRITERS) },
        {
          name: 'synced RocksDB batches of the same JSON',
          run: () => rocksWriters(store, batches, ids),
        },
      ],
      ROUNDS,
    );
    if (a && b)
      print(`durable ingest over HTTP, ${WRITERS} writers, batches of ${BATCH} × 400 B`, a, b, 0.5);
  }
  if (only !== 'batch') {
    const [c, d] = await interleave(
      [
        { name: 'ours', run: () => rateOf(singleLoad, service.port, CONNECTIONS) },
        {
          name: 'the same HTTP stack, one shared fdatasync',
          run: () => rateOf(singleLoad, peer.port, CONNECTIONS),
        },
      ],
      ROUNDS,
    );
    if (c && d) print(`single durable appends, ${CONNECTIONS} connections`, c, d, 0.5);
  }
  await Promise.all([batchLoad.end(), singleLoad.end()]);
  await service.drain();
  await service.stop();
  await peer.stop();
  await store.close();
  await log.writer.close();
} finally {
  await rm(dir, { recursive: true, force: true });
}
