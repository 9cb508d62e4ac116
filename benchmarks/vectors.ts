/**
 * Recall in the index itself: 100,000 memories with clustered vectors of 768 dimensions (see
 * packages/testkit/src/vectors.ts), a text of 15 words and metadata. Recall@10 against exact search
 * at four selectivities of a filter, the median time of vector and of text search; then, in a process
 * of its own, the time to open the index, which checks its files, and the memory that it takes.
 *
 *     node benchmarks/vectors.ts [rows] [queries] [rounds]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { firstHlcOf, formatHlc } from '@memplane/clock';
import type { CloudEvent } from '@memplane/contracts';
import { parseFilter } from '@memplane/filter';
import { clusteredVectors, percentile } from '@memplane/testkit';
import type {
  Candidate,
  FeedLine,
  RankRequest,
} from '../services/vector-index/src/domain/ports.ts';
import { frequencies, termsOf } from '../services/vector-index/src/domain/text.ts';
import { Generation } from '../services/vector-index/src/drivers/generation.ts';
import {
  CLASSES,
  exactTop,
  LIMITS,
  queryVectors,
  recall,
  SEEDS,
  SEEDS_TEXT,
  TOP_K,
  words,
} from './lib/recall.ts';
import { summarize } from './lib/rounds.ts';
import { atLeast, atMost, emitRow, SHORT } from './lib/row.ts';

const OPEN = '--open';
const [ROWS = SHORT ? 10_000 : 100_000, QUERIES = 100, ROUNDS = 5] = process.argv
  .slice(2)
  .filter((word) => !word.startsWith('-'))
  .map(Number);
const DIMENSIONS = 768;
const PARTITIONS = 12;
const BATCH = 256;
const OPTIONS = {
  dimensions: DIMENSIONS,
  model: undefined,
  computes: false,
  stage1_rows_min: 768,
  direct_rows_max: 4_096,
  fields_per_row_max: 64,
  filter_cache_bytes_max: 16 << 20,
  cut_cache_entries_max: 16,
  entity_cache_entries_max: 4_096,
  text: { memtable_rows_max: 4_096, segments_per_level_max: 4, merge_terms_max: 256 },
  database_cache_bytes_max: 32 << 20,
};

function anonymousMiB(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? Number.NaN) / 1024;
}

const NONE: RankRequest = {
  vector: undefined,
  terms: undefined,
  filter: undefined,
  entity: undefined,
};

/** What a process that opens the index and searches takes, over one that has done neither. */
function openAlone(folder: string): { openMs: number; anonymousMiB: number } {
  const before = anonymousMiB();
  const started = performance.now();
  const index = new Generation(folder, OPTIONS);
  const openMs = performance.now() - started;
  const cut = { logId: '', epoch: 0, offsets: index.applied };
  for (const vector of queryVectors(QUERIES, DIMENSIONS)) {
    const terms = frequencies(termsOf(words(5)));
    for (const request of [
      { ...NONE, vector },
      { ...NONE, terms },
    ]) {
      index.latest('default', cut, Date.now(), request).rank(TOP_K);
    }
  }
  const taken = { openMs, anonymousMiB: anonymousMiB() - before };
  index.close();
  return taken;
}

if (process.argv[2] === OPEN) {
  console.log(JSON.stringify(openAlone(String(process.argv[3]))));
  process.exit();
}

const folder = mkdtempSync(join(tmpdir(), 'vectors-'));
try {
  const before = anonymousMiB();
  const index = new Generation(folder, OPTIONS);
  const source = clusteredVectors({ seed: SEEDS.vectors });
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
        metadata: { n: i % CLASSES },
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
  const timed = (requests: readonly RankRequest[]) => {
    const times: number[] = [];
    const found = requests.map((request) => {
      const started = performance.now();
      const snapshot = index.latest('default', cut, Date.now(), request);
      const rows = snapshot.rank(TOP_K) as readonly Candidate[];
      times.push(performance.now() - started);
      return rows.map(({ row }) => row);
    });
    return { found, p50: percentile(times, 0.5) };
  };
  /** The medians of all rounds, after one that warms up. */
  const inRounds = (name: string, requests: readonly RankRequest[]) => {
    const { found } = timed(requests);
    const p50s = Array.from({ length: ROUNDS }, () => timed(requests).p50);
    return { found, p50: summarize(name, p50s) };
  };

  const vectors = queryVectors(QUERIES, DIMENSIONS);
  const truth = exactTop(ROWS, vectors);
  const about = { seeds: SEEDS_TEXT };
  const size = `${ROWS.toLocaleString('en')} × ${DIMENSIONS}, in the index`;
  console.log(
    `${ROWS} × ${DIMENSIONS}, ${QUERIES} queries\n\n| what | recall@10 | p50 ms |\n|---|---|---|`,
  );
  for (const [l, limit] of LIMITS.entries()) {
    const filter =
      limit === CLASSES ? undefined : parseFilter({ n: { $lt: limit } }, { field: 'filter' });
    const requests = vectors.map((query) => ({ ...NONE, vector: query, filter }));
    const name = `vectors, ${limit / 10} % match`;
    const { found, p50 } = inRounds(name, requests);
    const part = recall(truth[l]!, found);
    console.log(`| ${name} | ${part.toFixed(3)} | ${p50.median.toFixed(2)} |`);
    const exact = { ...about, against: 'exact search' };
    emitRow(`recall@10, ${size}, ${limit / 10} %`, atLeast(0.95), summarize(name, [part]), exact);
    emitRow(
      `vector search p50, ${size}, ${limit / 10} %`,
      atMost(limit === CLASSES ? 1 : 5, 'ms'),
      p50,
      about,
    );
  }
  for (const length of [2, 5, 10]) {
    const requests = vectors.map(() => ({ ...NONE, terms: frequencies(termsOf(words(length))) }));
    const { p50 } = inRounds('text', requests);
    console.log(`| text, ${length} words | | ${p50.median.toFixed(2)} |`);
  }
  const built = anonymousMiB() - before;
  index.close();
  const openings = Array.from({ length: ROUNDS }, () => {
    const words = [...process.execArgv, import.meta.filename, OPEN, folder];
    const said = execFileSync(process.execPath, words, { encoding: 'utf8' });
    return JSON.parse(said) as ReturnType<typeof openAlone>;
  });
  const openMs = summarize(
    'open',
    openings.map((opening) => opening.openMs),
  );
  const memory = summarize(
    'memory',
    openings.map((opening) => opening.anonymousMiB),
  );
  console.log(`\nopened and checked in ${openMs.median.toFixed(0)} ms`);
  console.log(`applied at ${((ROWS / applyMs) * 1000).toFixed(0)} memories/s`);
  console.log(`anonymous memory ${memory.median.toFixed(0)} MiB more once opened and searched`);
  console.log(
    `(${built.toFixed(0)} MiB in the process that built it and the truth to compare with)`,
  );
  emitRow(`memory of the index, ${size}`, atMost(400, 'MiB'), memory, about);
} finally {
  rmSync(folder, { recursive: true });
}
