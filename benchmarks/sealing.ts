/**
 * What sealing costs: durable ingest over HTTP into a zone that is sealed, against the same into one
 * that is not, in the same process on the same disk.
 *
 *   node benchmarks/sealing.ts [rounds] [ms per run]
 *
 * 8 connections append batches of events of about 400 bytes, and of about 4 KiB; all entities have
 * their keys by the time that is measured. Goals: 30 % and 15 % at most.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createEventIngest, RocksStrong, readIngestConfig } from '@memplane/event-ingest';
import { openEmbeddedLog } from '@memplane/event-log';
import { createHttpInvoker } from '@memplane/runtime';
import { LoadThread } from './lib/load-thread.ts';
import { interleave, ratio } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';

const ROUNDS = Number(process.argv[2] ?? 5);
const RUN_MS = Number(process.argv[3] ?? (SHORT ? 300 : 1500));
const CONNECTIONS = 8;
const ENTITIES = 1_000;
const CASES = [
  { name: '400 B', events_per_request: 500, text_chars: 0, goal: 0.7 },
  { name: '4 KiB', events_per_request: 100, text_chars: 3_700, goal: 0.85 },
];

/** An ingest with a log and a strong store of its own; nobody else is asked for anything. */
async function startIngest(dir: string, isSealed: boolean) {
  const zones = path.join(dir, 'zones.yaml');
  const keys = path.join(dir, 'master-keys');
  const log = await openEmbeddedLog({ dir: path.join(dir, 'log') });
  await writeFile(
    zones,
    `zones: [{match: "user/*", consistency: eventual, sealed: ${isSealed}}]\n`,
  );
  await writeFile(keys, `bench:${randomBytes(32).toString('base64')}\n`);
  const config = readIngestConfig({
    MEMPLANE_EVENT_INGEST_PORT: '0',
    MEMPLANE_LOG_LEVEL: 'error',
    MEMPLANE_ZONES: zones,
    MEMPLANE_SEALING_KEYS: keys,
    MEMPLANE_ARCHIVE_LAG_BYTES_MAX: '0',
  });
  const store = await RocksStrong.open(path.join(dir, 'strong'));
  const nowhere = 'http://127.0.0.1:9';
  const invoker = createHttpInvoker({
    'event-ingest': nowhere,
    materializer: nowhere,
    'crdt-sync': nowhere,
    'vector-index': nowhere,
  });
  const strong = { store, isAlone: true };
  const service = await createEventIngest(config, { logWriter: log.writer, invoker, strong });
  await service.start();
  return {
    port: service.port,
    async stop() {
      await service.drain();
      await service.stop();
      await log.writer.close();
    },
  };
}

const dir = await mkdtemp(path.join(tmpdir(), 'memplane-bench-sealing-'));
try {
  const plain = await startIngest(await mkdtemp(path.join(dir, 'plain-')), false);
  const sealed = await startIngest(await mkdtemp(path.join(dir, 'sealed-')), true);
  console.log(`${ROUNDS} rounds of ${RUN_MS} ms; events per second\n`);
  console.log('| events | sealed | plain | ratio | goal |\n|---|---|---|---|---|');
  let firstId = 0;
  for (const { name, goal, ...data } of CASES) {
    const load = new LoadThread({ ...data, entities: ENTITIES }, firstId);
    firstId += 1e11;
    const rateOf = async (port: number) => {
      const order = { port, path: '/v1/events', connections: CONNECTIONS, durationMs: RUN_MS };
      const { events, elapsedMs } = await load.run(order);
      return (events / elapsedMs) * 1000;
    };
    const [ours, peer] = await interleave(
      [
        { name: 'sealed', run: () => rateOf(sealed.port) },
        { name: 'not sealed', run: () => rateOf(plain.port) },
      ],
      ROUNDS,
    );
    await load.end();
    if (ours === undefined || peer === undefined) continue;
    const part = ratio('ratio', ours, peer);
    const what = `durable ingest of sealed events of ${name}`;
    emitRow(what, atLeast(goal), part, { against: peer.name, seeds: 'events by their number' });
    const figure = (value: number) => Math.round(value).toLocaleString('en');
    console.log(
      `| ${name} | ${figure(ours.median)} | ${figure(peer.median)} | ` +
        `${part.median.toFixed(3)} ±${(part.spread * 100).toFixed(1)} % | ≥ ${goal} |`,
    );
  }
  await Promise.all([plain.stop(), sealed.stop()]);
} finally {
  await rm(dir, { recursive: true, force: true });
}
