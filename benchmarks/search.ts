/**
 * Recall from a running one-process plane: 100,000 memories with clustered vectors of 768
 * dimensions (see packages/testkit/src/vectors.ts), a text of 15 words and metadata, appended as
 * events, searched over HTTP, so that the check against the views is part of the time. Recall@10
 * against exact search at four selectivities of a filter, and the times of vector and text search.
 *
 *     node benchmarks/search.ts [rows] [queries] [rounds]
 */
import { expectStatus, percentile, range, type SearchAnswer } from '@memplane/testkit';
import { memoryBatches } from './lib/event-bodies.ts';
import { Acknowledged, appendAll, untilApplied, untilCalm, withPlane } from './lib/plane.ts';
import {
  CLASSES,
  exactTop,
  LIMITS,
  queryVectors,
  recall,
  SEEDS_TEXT,
  TOP_K,
  words,
} from './lib/recall.ts';
import { summarize } from './lib/rounds.ts';
import { atLeast, atMost, emitRow, SHORT } from './lib/row.ts';

const [ROWS = SHORT ? 5_000 : 100_000, QUERIES = 100, ROUNDS = 5] = process.argv
  .slice(2)
  .map(Number);
const DIMENSIONS = 768;
const BATCH = 500;
const GOAL_MS = 5;
const TEXT_GOAL_MS = 10;
const TEXT_LENGTHS = [2, 5, 10];

await withPlane('search', async (plane) => {
  const loading = performance.now();
  await appendAll(plane, memoryBatches(ROWS, BATCH), new Acknowledged(), 4);
  const appendedMs = performance.now() - loading;
  await untilApplied(plane);
  const appliedMs = performance.now() - loading;
  const rate = (ms: number) => Math.round((ROWS / ms) * 1000).toLocaleString('en');
  console.log(
    `${ROWS} memories appended at ${rate(appendedMs)}/s, indexed at ${rate(appliedMs)}/s`,
  );

  // What follows a load is measured by benchmarks/visible.ts.
  await untilCalm(plane);
  const url = `${plane.vectors}/v1/search`;
  const ask = async (bodies: readonly unknown[]) => {
    const times: number[] = [];
    const found: number[][] = [];
    for (const body of bodies) {
      const started = performance.now();
      const { results } = await expectStatus<SearchAnswer>(200, 'POST', url, { body });
      times.push(performance.now() - started);
      found.push(results.map(({ memoryId }) => Number(memoryId.slice(1))));
    }
    return { found, times };
  };
  const inRounds = async (name: string, bodies: readonly unknown[]) => {
    const { found } = await ask(bodies); // warms up
    const rounds: number[][] = [];
    for (const _ of range(ROUNDS)) rounds.push((await ask(bodies)).times);
    const p50 = summarize(
      name,
      rounds.map((times) => percentile(times, 0.5)),
    );
    return { found, p50, p99: percentile(rounds.flat(), 0.99) };
  };

  const vectors = queryVectors(QUERIES, DIMENSIONS);
  const truth = exactTop(ROWS, vectors);
  const about = { seeds: SEEDS_TEXT };
  const size = `${ROWS.toLocaleString('en')} × ${DIMENSIONS}, over HTTP`;
  console.log('\n| what | recall@10 | p50 ms | p99 ms |\n|---|---|---|---|');
  for (const [l, limit] of LIMITS.entries()) {
    const filter = limit === CLASSES ? {} : { filter: { n: { $lt: limit } } };
    const bodies = vectors.map((query) => {
      const vector = Buffer.from(query.buffer).toString('base64');
      return { vector, topK: TOP_K, ...filter };
    });
    const name = `vectors, ${limit / 10} % match`;
    const { found, p50, p99 } = await inRounds(name, bodies);
    const part = recall(truth[l]!, found);
    console.log(`| ${name} | ${part.toFixed(3)} | ${p50.median.toFixed(2)} | ${p99.toFixed(2)} |`);
    const exact = { ...about, against: 'exact search' };
    emitRow(`recall@10, ${size}, ${limit / 10} %`, atLeast(0.95), summarize(name, [part]), exact);
    emitRow(`vector search p50, ${size}, ${limit / 10} %`, atMost(GOAL_MS, 'ms'), p50, about);
  }
  for (const length of TEXT_LENGTHS) {
    const name = `text, ${length} words`;
    const bodies = vectors.map(() => ({ text: words(length), topK: TOP_K }));
    const { p50, p99 } = await inRounds(name, bodies);
    console.log(`| ${name} | | ${p50.median.toFixed(2)} | ${p99.toFixed(2)} |`);
    const row = `text search p50, ${ROWS.toLocaleString('en')} memories, over HTTP, ${length} words`;
    emitRow(row, atMost(TEXT_GOAL_MS, 'ms'), p50, about);
  }
});
