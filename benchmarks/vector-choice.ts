/**
 * Which embedded vector index: the plane's own flat cascade, usearch (HNSW) and LanceDB (IVF-PQ,
 * and flat), on the same clustered vectors, at four selectivities of a metadata filter. Prints the
 * table of docs/adr/0003-vector-index.md.
 *
 * The peers are no dependencies of the plane; install them in a folder of their own:
 *
 *     mkdir /tmp/peers && cd /tmp/peers && npm init -y && npm i usearch @lancedb/lancedb
 *     npx node benchmarks/vector-choice.ts [rows] [queries] [/tmp/peers]
 *
 * Without the folder only the plane's own index is measured. HNSW has no filter in its Node
 * binding: it is asked for more and more until enough rows match (at most all).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vectorMatrix } from '@memplane/testkit';
import { Bitmap } from '../services/vector-index/src/domain/bitmap.ts';
import { ChunkChecks } from '../services/vector-index/src/drivers/chunk-checks.ts';
import { VectorArena } from '../services/vector-index/src/drivers/vector-arena.ts';

const ROWS = Number(process.argv[2] ?? 100_000);
const QUERIES = Number(process.argv[3] ?? 40);
const PEERS = process.argv[4];
const DIMENSIONS = 768;
const TOP_K = 10;
/** A row matches a filter of selectivity 1 / n where its group is a multiple of n. */
const EVERY = [1, 10, 100, 1000];

interface Contender {
  readonly name: string;
  readonly buildMs: number;
  search(query: Float32Array, every: number): Promise<readonly number[]> | readonly number[];
}

const base = vectorMatrix(ROWS, { seed: 1 });
const queryMatrix = vectorMatrix(QUERIES, { seed: 2 });
const rowOf = (i: number) => base.subarray(i * DIMENSIONS, (i + 1) * DIMENSIONS);
const queries = Array.from({ length: QUERIES }, (_, q) =>
  queryMatrix.slice(q * DIMENSIONS, (q + 1) * DIMENSIONS),
);
/** Spreads the groups over the clusters. */
const groups = Uint32Array.from({ length: ROWS }, (_, i) => Math.imul(i, 2_654_435_761) >>> 8);
const matches = (i: number, every: number) => groups[i]! % every === 0;

function exact(query: Float32Array, every: number): number[] {
  const scored: [number, number][] = [];
  for (let i = 0; i < ROWS; i++) {
    if (!matches(i, every)) continue;
    const row = rowOf(i);
    let sum = 0;
    for (let d = 0; d < DIMENSIONS; d++) sum += row[d]! * query[d]!;
    scored.push([i, sum]);
  }
  return scored
    .sort((a, b) => b[1] - a[1])
    .slice(0, TOP_K)
    .map(([i]) => i);
}

function cascade(folder: string): Contender {
  const started = performance.now();
  const options = { folder, dimensions: DIMENSIONS, stage1_rows_min: 768, direct_rows_max: 4096 };
  const store = { meta: () => undefined, setMeta: () => {} };
  const arena = new VectorArena(options, 0, new ChunkChecks(store, 'codes'));
  for (let i = 0; i < ROWS; i++) arena.add(i, rowOf(i));
  arena.flush();
  const masks = new Map(
    EVERY.map((every) => {
      const mask = new Bitmap(ROWS);
      for (let i = 0; i < ROWS; i++) if (matches(i, every)) mask.add(i);
      return [every, { mask, count: mask.count() }];
    }),
  );
  return {
    name: 'own flat cascade (256 bits, int8, float32)',
    buildMs: performance.now() - started,
    search(query, every) {
      const { mask, count } = masks.get(every)!;
      const near = arena.nearest(query, TOP_K, mask, count, ROWS, (a, b) => a - b);
      return near.map(({ row }) => row);
    },
  };
}

function hnsw(load: NodeJS.Require): Contender {
  const { Index, MetricKind, ScalarKind } = load('usearch');
  const started = performance.now();
  const index = new Index({
    dimensions: DIMENSIONS,
    metric: MetricKind.Cos,
    quantization: ScalarKind.F16,
    connectivity: 16,
    expansion_add: 128,
    expansion_search: 64,
  });
  const keys = BigUint64Array.from({ length: ROWS }, (_, i) => BigInt(i));
  index.add(keys, base, 0);
  return {
    name: 'usearch HNSW f16, filter by over-fetching',
    buildMs: performance.now() - started,
    search(query, every) {
      for (let k = TOP_K * Math.min(every, 8); ; k = Math.min(ROWS, k * 8)) {
        const found: number[] = [];
        for (const key of index.search(query, k, 0).keys) {
          if (matches(Number(key), every)) found.push(Number(key));
          if (found.length === TOP_K) return found;
        }
        if (k >= Math.min(ROWS, 20_000)) return found;
      }
    },
  };
}

async function lance(load: NodeJS.Require, folder: string, indexed: boolean): Promise<Contender> {
  const lancedb = load('@lancedb/lancedb');
  const started = performance.now();
  const db = await lancedb.connect(join(folder, indexed ? 'ivf' : 'flat'));
  const record = (i: number) => ({ id: i, grp: groups[i]! % 1000, vector: Array.from(rowOf(i)) });
  const PART = 5_000;
  let table: Awaited<ReturnType<typeof db.createTable>>;
  for (let from = 0; from < ROWS; from += PART) {
    const part = Array.from({ length: Math.min(PART, ROWS - from) }, (_, i) => record(from + i));
    if (from === 0) table = await db.createTable('rows', part);
    else await table.add(part);
  }
  if (indexed) {
    const config = lancedb.Index.ivfPq({ distanceType: 'cosine', numPartitions: 128 });
    await table.createIndex('vector', { config });
    await table.createIndex('grp', { config: lancedb.Index.btree() });
  }
  return {
    name: indexed ? 'LanceDB IVF-PQ, nprobes 20, refine 10' : 'LanceDB without an index',
    buildMs: performance.now() - started,
    async search(query, every) {
      let search = table
        .search(query)
        .distanceType('cosine')
        .select(['id', '_distance'])
        .limit(TOP_K);
      if (indexed) search = search.nprobes(20).refineFactor(10);
      if (every > 1) search = search.where(`grp % ${every} = 0`);
      const found: { id: number }[] = await search.toArray();
      return found.map(({ id }) => id);
    },
  };
}

const folder = mkdtempSync(join(tmpdir(), 'vector-choice-'));
try {
  const contenders: Contender[] = [cascade(folder)];
  if (PEERS) {
    const load = createRequire(join(PEERS, 'package.json'));
    contenders.push(hnsw(load), await lance(load, folder, true), await lance(load, folder, false));
  }
  console.log(`${ROWS} × ${DIMENSIONS}, ${QUERIES} queries, top ${TOP_K}; recall, p50 in ms\n`);
  console.log(`| index | build s | ${EVERY.map((n) => `${100 / n} %`).join(' | ')} |`);
  console.log(`|---|---|${EVERY.map(() => '---|').join('')}`);
  const truth = new Map(EVERY.map((n) => [n, queries.map((query) => exact(query, n))]));
  for (const contender of contenders) {
    const cells: string[] = [];
    for (const every of EVERY) {
      let hits = 0;
      const times: number[] = [];
      await contender.search(queries[0]!, every);
      for (const [q, query] of queries.entries()) {
        const started = performance.now();
        const found = await contender.search(query, every);
        times.push(performance.now() - started);
        hits += found.filter((row) => truth.get(every)![q]!.includes(row)).length;
      }
      times.sort((a, b) => a - b);
      const wanted = truth.get(every)!.reduce((sum, rows) => sum + rows.length, 0);
      cells.push(`${(hits / wanted).toFixed(3)}, ${times[times.length >> 1]!.toFixed(2)}`);
    }
    const build = (contender.buildMs / 1000).toFixed(1);
    console.log(`| ${contender.name} | ${build} | ${cells.join(' | ')} |`);
  }
} finally {
  rmSync(folder, { recursive: true });
}
