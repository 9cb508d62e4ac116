import { setTimeout } from 'node:timers/promises';
import {
  type AppendAnswer,
  clusteredVectors,
  type EntityView,
  entityPath,
  percentile,
  range,
  type SearchAnswer,
} from '@memplane/testkit';
import { memoryOf } from './event-bodies.ts';
import type { LoadOrder, LoadResult } from './http-load.ts';
import { LoadThread } from './load-thread.ts';
import { type Applying, lags, patiently, untilApplied } from './plane.ts';
import { type Measured, summarize } from './rounds.ts';
import { type Row, SHORT } from './row.ts';

const [ROUNDS = 5, SECONDS = SHORT ? 2 : 10] = process.argv.slice(2).map(Number);
const CONNECTIONS = 8;
const BATCH = 100;
/** More than one thread's load sends. */
const IDS_PER_THREAD = 1e10;
const ENTITIES = 10_000;
const PEAK_ROUNDS = 3;
/** Probes begin at a steady pace, however long the answers before them take. */
const PROBE_INTERVAL_MS = 50;
const PROBE_SEED = 98;

/** A plane to be measured: where its probes go, and where its load goes. */
export interface VisiblePlane {
  readonly ingest: string;
  readonly materializer: string;
  readonly vectors: string;
  /** All of these have to have applied what was appended. */
  readonly applying: readonly Applying[];
  /** The connections of the load are shared out among these. */
  readonly loads: readonly Pick<LoadOrder, 'port' | 'headers'>[];
}

/** The load of one plane. */
class Load {
  readonly #plane: VisiblePlane;
  readonly #threads: readonly LoadThread[];

  constructor(plane: VisiblePlane) {
    this.#plane = plane;
    const data = { events_per_request: BATCH, entities: ENTITIES, mixed: true };
    this.#threads = plane.loads.map((_, i) => new LoadThread(data, i * IDS_PER_THREAD));
  }

  async run(
    durationMs: number,
    events_per_second?: number,
  ): Promise<Pick<LoadResult, 'events' | 'elapsedMs'>> {
    const { loads } = this.#plane;
    const results = await Promise.all(
      this.#threads.map((thread, i) =>
        thread.run({
          ...(loads[i] ?? { port: 0 }),
          path: '/v1/events',
          connections: CONNECTIONS / loads.length,
          durationMs,
          ...(events_per_second === undefined
            ? {}
            : { events_per_second: events_per_second / loads.length }),
        }),
      ),
    );
    return {
      events: results.reduce((sum, { events }) => sum + events, 0),
      elapsedMs: Math.max(...results.map(({ elapsedMs }) => elapsedMs)),
    };
  }

  /** @returns events per second until all of them are applied */
  async peak(): Promise<number> {
    const started = performance.now();
    const { events, elapsedMs } = await this.run(SECONDS * 500);
    await allApplied(this.#plane);
    const allMs = performance.now() - started;
    const rate = (ms: number) => `${Math.round((events / ms) * 1000).toLocaleString('en')}/s`;
    console.log(`as fast as it goes: appended at ${rate(elapsedMs)}, applied at ${rate(allMs)}`);
    return (events / allMs) * 1000;
  }

  async end(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }
}

interface Times {
  readonly append: number[];
  readonly view: number[];
  readonly search: number[];
}

async function allApplied(plane: VisiblePlane): Promise<void> {
  await Promise.all(plane.applying.map((one) => untilApplied(one)));
}

const vectors = clusteredVectors({ seed: PROBE_SEED });
let probes = 0;

/** Appends one memory and asks for it, on both sides at once. */
async function probe(plane: VisiblePlane, times: Times): Promise<void> {
  const n = 1e9 + probes++;
  const memory = memoryOf(n, vectors);
  const entity = `probe/${n % 500}`;
  const event = { id: `p${n}`, type: 'Probed', entity, attributes: { n }, memory };
  const started = performance.now();
  const since = () => performance.now() - started;
  const { token } = await patiently<AppendAnswer>(201, 'POST', `${plane.ingest}/v1/events`, {
    body: event,
  });
  times.append.push(since());
  const view = async () => {
    const url = plane.materializer + entityPath(entity, { after: token, waitMs: 30_000 });
    const { attributes } = await patiently<EntityView>(200, 'GET', url);
    times.view.push(since());
    if (attributes['n'] !== n) throw new Error(`the view of ${entity} does not show ${n}`);
  };
  const search = async () => {
    const body = { vector: memory.embedding.values, topK: 1, after: token, waitMs: 30_000 };
    const url = `${plane.vectors}/v1/search`;
    const { results } = await patiently<SearchAnswer>(200, 'POST', url, { body });
    times.search.push(since());
    if (results[0]?.memoryId !== memory.id) throw new Error(`a search does not find ${memory.id}`);
  };
  await Promise.all([view(), search()]);
}

async function round(plane: VisiblePlane, load: Load, events_per_second: number): Promise<Times> {
  const times: Times = { append: [], view: [], search: [] };
  const running = load.run(SECONDS * 1_000, events_per_second);
  const probing = [];
  const started = performance.now();
  for (const n of range((SECONDS * 1_000) / PROBE_INTERVAL_MS)) {
    await setTimeout(Math.max(1, started + n * PROBE_INTERVAL_MS - performance.now()));
    probing.push(probe(plane, times));
  }
  await Promise.all([running, ...probing]);
  const behind = await Promise.all(plane.applying.map(lags));
  const views = Math.max(...behind.map((one) => one.views));
  const index = Math.max(...behind.map((one) => one.index));
  const p = (values: number[]) =>
    [0.5, 0.99].map((part) => percentile(values, part).toFixed(1)).join(' / ');
  const { events, elapsedMs } = await running;
  console.log(
    `| ${Math.round((events / elapsedMs) * 1000)} | ${times.view.length} | ${p(times.append)} ` +
      `| ${p(times.view)} | ${p(times.search)} | ${views} / ${index} |`,
  );
  return times;
}

/**
 * How soon an append is seen, at half of the load that a plane can bear.
 *
 * First the peak: 8 connections append batches of 100 (one event in ten a memory with a vector) as
 * fast as they are answered, and the time counts until the views and the index have all of it, so
 * that the peak is a rate that all of the plane keeps up with. Then the same load at half of that
 * rate, while 20 probes a second append one memory each and ask, with its token, for the view and
 * for a search of its vector. Times count from the sending of the append to the answer that shows
 * it, so they include the append itself and the read.
 */
export async function measureVisibility(
  plane: VisiblePlane,
): Promise<{ view: Measured; search: Measured; about: Pick<Row, 'against' | 'seeds'> }> {
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
    await allApplied(plane);
  }
  await load.end();
  const p99 = (of: keyof Times): Measured =>
    summarize(
      of,
      rounds.map((times) => percentile(times[of], 0.99)),
    );
  return {
    view: p99('view'),
    search: p99('search'),
    about: {
      against: `half of ${Math.round(peak).toLocaleString('en')} events/s`,
      seeds: `load 0 to ${CONNECTIONS / plane.loads.length - 1}, probes ${PROBE_SEED}`,
    },
  };
}
