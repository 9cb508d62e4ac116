/**
 * How soon an append is seen, at half of the load that a running one-process plane can bear.
 *
 *     node benchmarks/visible.ts [rounds] [seconds per round]
 *
 * First the peak: 8 connections append batches of 100 (one event in ten a memory with a vector) as
 * fast as they are answered, and the time counts until the views and the index have all of it, so
 * that the peak is a rate that all of the plane keeps up with. Then the same load at half of that
 * rate, while 20 probes a second append one memory each and ask, with its token, for the view and
 * for a search of its vector. Times count from the sending of the append to the answer that shows
 * it, so they include the append itself and the read.
 */
import { setTimeout } from 'node:timers/promises';
import {
  type AppendAnswer,
  clusteredVectors,
  type EntityView,
  entityPath,
  expectStatus,
  type Plane,
  percentile,
  range,
  type SearchAnswer,
} from '@memplane/testkit';
import { memoryOf } from './lib/event-bodies.ts';
import type { LoadResult } from './lib/http-load.ts';
import { LoadThread } from './lib/load-thread.ts';
import { lags, untilApplied, withPlane } from './lib/plane.ts';
import { type Measured, summarize } from './lib/rounds.ts';
import { atMost, emitRow, SHORT } from './lib/row.ts';

const [ROUNDS = 5, SECONDS = SHORT ? 2 : 10] = process.argv.slice(2).map(Number);
const CONNECTIONS = 8;
const BATCH = 100;
const ENTITIES = 10_000;
const PEAK_ROUNDS = 3;
/** Probes begin at a steady pace, however long the answers before them take. */
const PROBE_INTERVAL_MS = 50;
const PROBE_SEED = 98;

/** The load of one plane. */
class Load {
  readonly #plane: Plane;
  readonly #thread = new LoadThread({ events_per_request: BATCH, entities: ENTITIES, mixed: true });

  constructor(plane: Plane) {
    this.#plane = plane;
  }

  run(durationMs: number, events_per_second?: number): Promise<LoadResult> {
    return this.#thread.run({
      port: this.#plane.ports['event-ingest'],
      path: '/v1/events',
      connections: CONNECTIONS,
      durationMs,
      ...(events_per_second === undefined ? {} : { events_per_second }),
    });
  }

  /** @returns events per second until all of them are applied */
  async peak(): Promise<number> {
    const started = performance.now();
    const { events, elapsedMs } = await this.run(SECONDS * 500);
    await untilApplied(this.#plane);
    const allMs = performance.now() - started;
    const rate = (ms: number) => `${Math.round((events / ms) * 1000).toLocaleString('en')}/s`;
    console.log(`as fast as it goes: appended at ${rate(elapsedMs)}, applied at ${rate(allMs)}`);
    return (events / allMs) * 1000;
  }

  async end(): Promise<void> {
    await this.#thread.end();
  }
}

interface Times {
  readonly append: number[];
  readonly view: number[];
  readonly search: number[];
}

const vectors = clusteredVectors({ seed: PROBE_SEED });
let probes = 0;

/** Appends one memory and asks for it, on both sides at once. */
async function probe(plane: Plane, times: Times): Promise<void> {
  const n = 1e9 + probes++;
  const memory = memoryOf(n, vectors);
  const entity = `probe/${n % 500}`;
  const event = { id: `p${n}`, type: 'Probed', entity, attributes: { n }, memory };
  const started = performance.now();
  const since = () => performance.now() - started;
  const { token } = await expectStatus<AppendAnswer>(201, 'POST', `${plane.ingest}/v1/events`, {
    body: event,
  });
  times.append.push(since());
  const view = async () => {
    const url = plane.materializer + entityPath(entity, { after: token, waitMs: 30_000 });
    const { attributes } = await expectStatus<EntityView>(200, 'GET', url);
    times.view.push(since());
    if (attributes['n'] !== n) throw new Error(`the view of ${entity} does not show ${n}`);
  };
  const search = async () => {
    const body = { vector: memory.embedding.values, topK: 1, after: token, waitMs: 30_000 };
    const url = `${plane.vectors}/v1/search`;
    const { results } = await expectStatus<SearchAnswer>(200, 'POST', url, { body });
    times.search.push(since());
    if (results[0]?.memoryId !== memory.id) throw new Error(`a search does not find ${memory.id}`);
  };
  await Promise.all([view(), search()]);
}

async function round(plane: Plane, load: Load, events_per_second: number): Promise<Times> {
  const times: Times = { append: [], view: [], search: [] };
  const running = load.run(SECONDS * 1_000, events_per_second);
  const probing = [];
  const started = performance.now();
  for (const n of range((SECONDS * 1_000) / PROBE_INTERVAL_MS)) {
    await setTimeout(Math.max(1, started + n * PROBE_INTERVAL_MS - performance.now()));
    probing.push(probe(plane, times));
  }
  await Promise.all([running, ...probing]);
  const { views, index } = await lags(plane);
  const p = (values: number[]) =>
    [0.5, 0.99].map((part) => percentile(values, part).toFixed(1)).join(' / ');
  const { events, elapsedMs } = await running;
  console.log(
    `| ${Math.round((events / elapsedMs) * 1000)} | ${times.view.length} | ${p(times.append)} ` +
      `| ${p(times.view)} | ${p(times.search)} | ${views} / ${index} |`,
  );
  return times;
}

await withPlane('visible', async (plane) => {
  const load = new Load(plane);
  await load.peak(); // warms up
  const peaks: number[] = [];
  for (const _ of range(PEAK_ROUNDS)) peaks.push(await load.peak());
  const peak = summarize('peak', peaks).median;
  console.log(`peak ${Math.round(peak)} events/s; times in ms, p50 / p99\n`);
  console.log('| events/s | probes | append answered | in the view | in search | lag at the end |');
  console.log('|---|---|---|---|---|---|');
  const rounds: Times[] = [];
  for (const _ of range(ROUNDS)) {
    rounds.push(await round(plane, load, peak / 2));
    await untilApplied(plane);
  }
  await load.end();
  const p99 = (of: keyof Times): Measured =>
    summarize(
      of,
      rounds.map((times) => percentile(times[of], 0.99)),
    );
  const about = {
    against: `half of ${Math.round(peak).toLocaleString('en')} events/s`,
    seeds: `load 0 to ${CONNECTIONS - 1}, probes ${PROBE_SEED}`,
  };
  emitRow('append → visible in the view, p99', atMost(50, 'ms'), p99('view'), about);
  emitRow('append → visible in search, p99', atMost(200, 'ms'), p99('search'), about);
});
