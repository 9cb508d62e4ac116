/**
 * Restart of a warm materializer on Kafka after kill -9, with about 1 GiB of state (what its folder
 * takes on the disk) and up to 10,000 acknowledged events that were not applied: from its exec to the
 * first right read with the token of all that was acknowledged. Beside it, in turn, Kafka Streams
 * with the same log and rows (exactly_once_v2, RocksDB, changelogs, a static member): from its exec
 * until it runs, its stores open, and until it has processed its first event.
 *
 *     node benchmarks/restart-stack.ts [kills] [GiB]
 *
 * The files are in the page cache, as they are after a crash of the process and not of the machine.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TOPICS } from '@memplane/contracts';
import type { ServerProcess } from '@memplane/stack';
import { call, type EntityView, entityPath, expectStatus } from '@memplane/testkit';
import { MixedBatch } from './lib/event-bodies.ts';
import { kafkaStreamsProgram, StreamsProcess } from './lib/kafka-streams.ts';
import { Nodes } from './lib/nodes.ts';
import { Acknowledged, appendAll, firstAnswer, folderBytes, type Shards } from './lib/plane.ts';
import { ratio, summarize } from './lib/rounds.ts';
import { atLeast, atMost, emitRow, SHORT } from './lib/row.ts';

const [KILLS = SHORT ? 2 : 5, GIBS = SHORT ? 0.05 : 1] = process.argv.slice(2).map(Number);
const BURST = 10_000;
const BATCH = 500;
const ENTITIES = 20_000;
const GIB = 2 ** 30;
const TIMEOUT_MS = 20 * 60_000;
const POLL_MS = 50;

const dir = mkdtempSync(join(tmpdir(), 'memplane-restart-stack-'));
const { folder } = await kafkaStreamsProgram();
const nodes = await Nodes.start(dir);
const bodies = Array.from({ length: 16 }, (_, seed) => new MixedBatch(BATCH, ENTITIES, seed));
const acknowledged = new Acknowledged();
const readMs: number[] = [];
const runningMs: number[] = [];
const processedMs: number[] = [];
const unapplied: number[] = [];
let events = 0;

/** Each body is sent in other ids; a body under way is not touched. */
async function append(batches: number): Promise<void> {
  for (let left = batches; left > 0; left -= bodies.length) {
    const some = bodies.slice(0, left).map((body) => {
      body.renumber(events);
      events += BATCH;
      return body.bytes;
    });
    await appendAll(nodes, some, acknowledged);
  }
}

async function lag(): Promise<number> {
  const { shards } = await expectStatus<Shards>(200, 'GET', `${nodes.materializer}/v1/shards`);
  return shards.reduce((sum, shard) => sum + shard.lag, 0);
}

async function untilViewed(): Promise<void> {
  const end = performance.now() + TIMEOUT_MS;
  while ((await lag()) > 0) {
    if (performance.now() > end) throw new Error('the views are still behind');
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function fill(): Promise<void> {
  const state = join(dir, 'materializer');
  for (let bytes = 0; bytes < GIBS * GIB; bytes = await folderBytes(state)) {
    await append(Math.max(16, Math.round(GIBS * 64)));
    await untilViewed();
  }
}

/** Appends up to 10,000 events and a marker, kills, and times the next start. */
async function killMaterializer(server: ServerProcess): Promise<void> {
  await untilViewed();
  const id = `marker-${readMs.length}`;
  const marker = { id, type: 'Marked', entity: `marker/${id}`, attributes: { marked: id } };
  await append(BURST / BATCH - 1);
  await appendAll(nodes, [marker], acknowledged);
  events++;
  unapplied.push(await lag());
  await server.kill();
  const started = performance.now();
  const restarted = server.start();
  const path = entityPath(marker.entity, { after: acknowledged.token });
  readMs.push(
    await firstAnswer(started, async () => {
      const answer = await call<EntityView>('GET', nodes.materializer + path);
      const right = answer.status !== 200 || answer.body.attributes['marked'] === id;
      if (!right) throw new Error(`a wrong view: ${answer.text}`);
      return answer;
    }),
  );
  await restarted;
}

function startStreams(count: number): StreamsProcess {
  return new StreamsProcess({
    ...{ folder, brokers: nodes.kafka.brokers, topic: TOPICS.events },
    ...{ state: join(dir, 'streams'), events: count, hasChangelogs: true, name: 'views' },
  });
}

/** Starts it where it was killed, with as many events to process. */
async function restartStreams(count: number): Promise<StreamsProcess> {
  const streams = startStreams(count);
  runningMs.push(await streams.said('RUNNING', TIMEOUT_MS));
  processedMs.push(await streams.said('FIRST', TIMEOUT_MS));
  await streams.said('{"events"', TIMEOUT_MS);
  return streams;
}

function report(bytes: number): void {
  const note =
    `${(bytes / GIB).toFixed(2)} GiB on the disk, ${events} events, ${Math.min(...unapplied)} to ` +
    `${Math.max(...unapplied)} of them not applied at the kill`;
  const seeds = 'restart 0 to 15';
  const what = `restart of the materializer on Kafka after kill -9, ${GIBS} GiB of state`;
  const read = summarize('read', readMs);
  emitRow(`${what}, to the first right read`, atMost(1_000, 'ms'), read, { seeds, note });
  for (const [state, values] of [
    ['running with open stores', runningMs],
    ['first event processed', processedMs],
  ] as const) {
    const peer = summarize(state, values);
    console.log(`Kafka Streams, ${state}: ${peer.median.toFixed(0)} ms`);
    const against = `Kafka Streams until ${state}, ${peer.median.toFixed(0)} ms`;
    const times = ratio('', peer, read);
    emitRow(`${what}, times as fast`, atLeast(1), times, { against, seeds });
  }
}

try {
  const server = await nodes.startService('materializer', { MEMPLANE_LOG_LEVEL: 'warn' });
  await fill();
  const bytes = await folderBytes(join(dir, 'materializer'));
  console.log(`${events} events, ${(bytes / GIB).toFixed(2)} GiB`);
  let streams = startStreams(events);
  await streams.said('{"events"', TIMEOUT_MS);
  console.log('| not applied | read ms | Kafka Streams running ms | its first event ms |');
  console.log('|---|---|---|---|');
  for (let round = 0; round < KILLS; round++) {
    const before = events;
    await streams.kill();
    await killMaterializer(server);
    streams = await restartStreams(events - before);
    const ms = [readMs, runningMs, processedMs].map((all) => all.at(-1)?.toFixed(0));
    console.log(`| ${unapplied.at(-1)} | ${ms.join(' | ')} |`);
  }
  await streams.kill();
  report(bytes);
} finally {
  await nodes.stop();
  rmSync(dir, { recursive: true, force: true });
}
