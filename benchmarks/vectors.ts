/**
 * Recall in the index itself: 100,000 memories with clustered vectors of 768 dimensions (see
 * packages/testkit/src/vectors.ts), a text of 15 words and metadata. Recall@10 against exact search
 * at four selectivities of a filter, the median time of vector and of text search, memory, and the
 * time to open it again.
 *
 *     node benchmarks/vectors.ts [rows] [queries]
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firstHlcOf, formatHlc } from '@memplane/clock';
import type { CloudEvent } from '@memplane/contracts';
import { parseFilter } from '@memplane/filter';
import { clusteredVectors, seededRandom } from '@memplane/testkit';
import type { FeedLine, RankRequest } from '../services/vector-index/src/domain/ports.ts';
import { frequencies, termsOf } from '../services/vector-index/src/domain/text.ts';
import { Generation } from '../services/vector-index/src/drivers/generation.ts';

const [ROWS = 100_000, QUERIES = 100] = process.argv.slice(2).map(Number);
const DIMENSIONS = 768;
const PARTITIONS = 12;
const BATCH = 256;
const OPTIONS = {
  dimensions: DIMENSIONS,
  model: undefined,
  computes: false,
  stage1_rows_min: 1_024,
  direct_rows_max: 4_096,
  fields_per_row_max: 64,
  filter_cache_bytes_max: 16 << 20,
  cut_cache_entries_max: 16,
  entity_cache_entries_max: 4_096,
  text: { memtable_rows_max: 4_096, segments_per_level_max: 4, merge_terms_max: 256 },
  database_cache_bytes_max: 32 << 20,
};

/** Words by Zipf's law, as texts have them. */
const random = seededRandom(3);
const words = (count: number) =>
  Array.from({ length: count }, () => `w${Math.floor(20_000 ** random())}`).join(' ');

function anonymousMiB(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

const folder = mkdtempSync(join(tmpdir(), 'vectors-'));
try {
  const before = anonymousMiB();
  let index = new Generation(folder, OPTIONS);
  const source = clusteredVectors({ seed: 1 });
  const vector = new Float32Array(DIMENSIONS);
  let applyMs = 0;
  const offsets = new Array<number>(PARTITIONS).fill(0);
  for (let i = 0; i < ROWS; ) {
    const partition = ((i / BATCH) % PARTITIONS) | 0;
    const lines: FeedLine[] = [];
    for (; lines.length < BATCH && i < ROWS; i++) {
      source.next(vector);
      const values = Buffer.from(vector.buffer).toString('base64');
      const memory = {
        id: `m${i}`,
        text: words(15),
        metadata: { n: i % 1000 },
        embedding: { model: 'bench', values },
      };
      const subject = `user/${partition + PARTITIONS * (i % 1000)}`;
      const hlc = formatHlc(firstHlcOf(1_790_000_000_000 + i));
      const event = { id: `e${i}`, subject, tenant: 'default', hlc, data: { memory } };
      lines.push({
        partition,
        offset: offsets[partition]!++,
        epoch: 0,
        event: event as unknown as CloudEvent,
      });
    }
    const started = performance.now();
    index.apply(partition, lines);
    index.maintain();
    applyMs += performance.now() - started;
  }
  while (index.maintain());
  const cut = {
    logId: '',
    epoch: 0,
    offsets: new Map(offsets.map((end, partition) => [partition, end - 1])),
  };
  const NONE: RankRequest = {
    vector: undefined,
    terms: undefined,
    filter: undefined,
    entity: undefined,
  };
  const timed = (requests: readonly RankRequest[], topK: number) => {
    const times: number[] = [];
    const found = requests.map((request) => {
      const started = performance.now();
      const rows = index.latest('default', cut, Date.now(), request).rank(topK);
      times.push(performance.now() - started);
      return rows.map(({ row }) => row);
    });
    return { found, p50: median(times) };
  };

  const queries = clusteredVectors({ seed: 2 });
  const vectors = Array.from({ length: QUERIES }, () => {
    const query = new Float32Array(DIMENSIONS);
    queries.next(query);
    return query;
  });
  // Exact: a second pass over the same seed, so that the vectors need not be held.
  const LIMITS = [1000, 100, 10, 1];
  const truth = LIMITS.map(() => vectors.map(() => [] as [row: number, score: number][]));
  const again = clusteredVectors({ seed: 1 });
  for (let row = 0; row < ROWS; row++) {
    again.next(vector);
    for (const [q, query] of vectors.entries()) {
      let score = 0;
      for (let d = 0; d < DIMENSIONS; d++) score += vector[d]! * query[d]!;
      for (const [l, limit] of LIMITS.entries()) {
        if (row % 1000 >= limit) continue;
        const kept = truth[l]![q]!;
        if (kept.length === 10 && score <= kept[9]![1]) continue;
        kept.push([row, score]);
        kept.sort((a, b) => b[1] - a[1]);
        kept.length = Math.min(kept.length, 10);
      }
    }
  }
  console.log(
    `${ROWS} × ${DIMENSIONS}, ${QUERIES} queries\n\n| what | recall@10 | p50 ms |\n|---|---|---|`,
  );
  for (const [l, limit] of LIMITS.entries()) {
    const filter =
      limit === 1000 ? undefined : parseFilter({ n: { $lt: limit } }, { field: 'filter' });
    const requests = vectors.map((query) => ({ ...NONE, vector: query, filter }));
    timed(requests.slice(0, 20), 10);
    const { found, p50 } = timed(requests, 10);
    const hits = found.reduce(
      (sum, rows, q) => sum + truth[l]![q]!.filter(([row]) => rows.includes(row)).length,
      0,
    );
    const wanted = truth[l]!.reduce((sum, rows) => sum + rows.length, 0);
    console.log(
      `| vectors, ${limit / 10} % match | ${(hits / wanted).toFixed(3)} | ${p50.toFixed(2)} |`,
    );
  }
  for (const length of [2, 5, 10]) {
    const requests = vectors.map(() => ({ ...NONE, terms: frequencies(termsOf(words(length))) }));
    timed(requests.slice(0, 20), 10);
    console.log(`| text, ${length} words | | ${timed(requests, 10).p50.toFixed(2)} |`);
  }
  index.close();
  const opening = performance.now();
  index = new Generation(folder, OPTIONS);
  index.status('default');
  console.log(`\nopened again in ${(performance.now() - opening).toFixed(0)} ms`);
  console.log(`applied at ${((ROWS / applyMs) * 1000).toFixed(0)} memories/s`);
  console.log(`anonymous memory ${(anonymousMiB() - before).toFixed(0)} MiB more (two openings)`);
  index.close();
} finally {
  rmSync(folder, { recursive: true });
}
