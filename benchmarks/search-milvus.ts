/**
 * Searches of vector-index on Milvus, whole: candidates in excess, exact ranking, what is not stored
 * yet, the check against the views, over HTTP. Against bare Milvus at the same recall: a collection
 * of key, scalar and vector, once with the graph that is the fastest it has (HNSW), once with the
 * index that the service uses (IVF_PQ), each made more thorough until its recall@10 is 0.95 or the
 * service's. 100,000 clustered vectors of 768 dimensions, four selectivities of a filter; both sides
 * in turn, on one Milvus and one machine.
 *
 *     node benchmarks/search-milvus.ts [rows] [queries] [rounds] [ms per run]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectStatus, forEachAtMost, type SearchAnswer } from '@memplane/testkit';
import { BARE_KINDS, type BareKind, BareMilvus, type Step } from './lib/bare-milvus.ts';
import { memoryBatches } from './lib/event-bodies.ts';
import { Nodes } from './lib/nodes.ts';
import { Acknowledged, appendAll, untilApplied } from './lib/plane.ts';
import {
  CLASSES,
  exactTop,
  LIMITS,
  queryVectors,
  recall,
  SEEDS_TEXT,
  TOP_K,
} from './lib/recall.ts';
import { type Contender, interleave, ratio, summarize } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';

const [
  ROWS = SHORT ? 5_000 : 100_000,
  QUERIES = 100,
  ROUNDS = SHORT ? 1 : 5,
  RUN_MS = SHORT ? 500 : 2_000,
] = process.argv.slice(2).map(Number);
const DIMENSIONS = 768;
const BATCH = 500;
const CLIENTS = 8;
const RECALL_GOAL = 0.95;
const QPS_GOAL = 0.7;

type Ask = (query: Float32Array) => Promise<number[]>;

const vectors = queryVectors(QUERIES, DIMENSIONS);
const dir = mkdtempSync(join(tmpdir(), 'memplane-search-milvus-'));
const nodes = await Nodes.start(dir);

/** The service's answer to a question over HTTP. */
function askService(below: number): Ask {
  const url = `${nodes.vectors}/v1/search`;
  const filter = below === CLASSES ? {} : { filter: { n: { $lt: below } } };
  return async (query) => {
    const vector = Buffer.from(query.buffer).toString('base64');
    const body = { vector, topK: TOP_K, ...filter };
    const { results } = await expectStatus<SearchAnswer>(200, 'POST', url, { body });
    return results.map(({ memoryId }) => Number(memoryId.slice(1)));
  };
}

async function recallOf(ask: Ask, truth: readonly number[][]): Promise<number> {
  const found: number[][] = [];
  await forEachAtMost(CLIENTS, vectors.entries(), async ([i, query]) => {
    found[i] = await ask(query);
  });
  return recall(truth, found);
}

/** @returns answers per second to several clients, each with one question under way */
async function qps(ask: Ask): Promise<number> {
  const started = performance.now();
  let asked = 0;
  let answered = 0;
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (performance.now() - started < RUN_MS) {
        await ask(vectors[asked++ % vectors.length]!);
        answered++;
      }
    }),
  );
  return (answered / (performance.now() - started)) * 1000;
}

interface Peer {
  readonly name: string;
  readonly ask: Ask;
  readonly recall: number;
}

/** A kind of index by its fastest setting with the wanted recall, or its most thorough one. */
async function tuned(
  bare: BareMilvus,
  kind: BareKind,
  below: number,
  truth: readonly number[][],
  wanted: number,
): Promise<Peer> {
  const peerOf = async (step: Step): Promise<Peer> => {
    const ask: Ask = (query) => bare.search(kind, step, query, below);
    const shown = [...Object.entries(step.params), ['topK', step.limit]].map((of) => of.join(' '));
    const name = `bare Milvus, ${kind.name} (${shown.join(', ')})`;
    return { name, ask, recall: await recallOf(ask, truth) };
  };
  const peers: Peer[] = [];
  for (const step of kind.steps) {
    const peer = await peerOf(step);
    if (peer.recall >= wanted) return peer;
    peers.push(peer);
  }
  return peers.toSorted((a, b) => b.recall - a.recall)[0]!;
}

async function measure(bare: BareMilvus, below: number, truth: readonly number[][]) {
  const name = `${below / 10} % match`;
  const size = `${ROWS.toLocaleString('en')} × ${DIMENSIONS}, on Milvus`;
  const ask = askService(below);
  const ours = await recallOf(ask, truth);
  emitRow(`recall@10, ${size}, ${name}`, atLeast(RECALL_GOAL), summarize(name, [ours]), {
    against: 'exact search',
    seeds: SEEDS_TEXT,
  });
  const wanted = Math.min(ours, RECALL_GOAL);
  const peers: Peer[] = [];
  for (const kind of BARE_KINDS) peers.push(await tuned(bare, kind, below, truth, wanted));
  const sides = [{ name: 'vector-index', ask, recall: ours }, ...peers];
  const contenders: Contender[] = sides.map((side) => ({
    name: side.name,
    run: () => qps(side.ask),
  }));
  const measured = await interleave(contenders, ROUNDS);
  for (const [i, { name: who, median, spread }] of measured.entries()) {
    const of = ratio(who, measured[0]!, measured[i]!);
    console.log(
      `| ${name} | ${who} | ${sides[i]!.recall.toFixed(3)} | ${median.toFixed(0)} ` +
        `± ${(spread * 100).toFixed(0)} % | ${of.median.toFixed(2)} |`,
    );
    if (i === 0) continue;
    emitRow(`searches per second, ${size}, ${name}`, atLeast(QPS_GOAL), of, {
      against: `${who}, recall ${sides[i]!.recall.toFixed(3)}`,
      seeds: SEEDS_TEXT,
      note: `${Math.round(measured[0]!.median)} against ${Math.round(median)} per second`,
    });
  }
}

try {
  await Promise.all([nodes.startMilvus(), nodes.startService('materializer')]);
  await nodes.startService('vector-index', { MEMPLANE_LOG_LEVEL: 'warn' });
  const loading = performance.now();
  await appendAll(nodes, memoryBatches(ROWS, BATCH), new Acknowledged(), 4);
  await untilApplied(nodes);
  const bare = await BareMilvus.open(nodes.milvus, DIMENSIONS);
  await bare.untilIndexed('agent_memory', ROWS);
  const seconds = (performance.now() - loading) / 1000;
  console.log(`${ROWS} memories applied, stored and indexed in ${seconds.toFixed(0)} s`);
  for (const kind of BARE_KINDS) await bare.fill(kind, ROWS);
  const truth = exactTop(ROWS, vectors);
  console.log(`${CLIENTS} clients, ${QUERIES} questions\n`);
  console.log('| filter | side | recall@10 | per second | vector-index to it |');
  console.log('|---|---|---|---|---|');
  for (const [l, below] of LIMITS.entries()) await measure(bare, below, truth[l]!);
  await bare.close();
} finally {
  await nodes.stop();
  rmSync(dir, { recursive: true, force: true });
}
