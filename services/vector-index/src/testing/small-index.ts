import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { CloudEvent } from '@memplane/contracts';
import { clusteredVectors, testSeed } from '@memplane/testkit';
import type { Candidate, FeedLine } from '../domain/ports.ts';
import { frequencies, termsOf } from '../domain/text.ts';
import { Generation, type GenerationOptions } from '../drivers/generation.ts';

const DIMENSIONS = 32;
export const LINES = 400;
const NOW_MS = 1_790_000_000_000;
const OPTIONS: GenerationOptions = {
  dimensions: DIMENSIONS,
  model: undefined,
  computes: false,
  stage1_rows_min: 64,
  direct_rows_max: 128,
  fields_per_row_max: 8,
  filter_cache_bytes_max: 1 << 20,
  cut_cache_entries_max: 4,
  entity_cache_entries_max: 64,
  text: { memtable_rows_max: 64, segments_per_level_max: 4, merge_terms_max: 256 },
  database_cache_bytes_max: 1 << 20,
};

/** Memories of few names, so that many a one is superseded or forgotten. */
function makeLines(): FeedLine[] {
  const random = testSeed('lines');
  const source = clusteredVectors({ seed: 3, dimensions: DIMENSIONS });
  return Array.from({ length: LINES }, (_, offset) => {
    const vector = new Float32Array(DIMENSIONS);
    source.next(vector);
    const id = `m${random.int(0, 60)}`;
    const values = Buffer.from(vector.buffer).toString('base64');
    const text = `${random.pick(['harbour', 'violin', 'orchard'])} ${id}`;
    const memory = random.chance(0.2)
      ? { id, forgotten: true as const }
      : { id, text, embedding: { model: 'm', values } };
    const hlc = '019fd0a5b400-0000';
    const event = { id: `e${offset}`, subject: 'user/1', tenant: 'default', hlc, data: { memory } };
    return { partition: 0, epoch: 0, offset, event: event as unknown as CloudEvent };
  });
}

export const ALL: readonly FeedLine[] = makeLines();

/** One generation, filled from the same lines in every test, and what its searches find. */
export class SmallIndex {
  readonly generation: Generation;
  damaged = 0;

  constructor(folder: string, options: Partial<GenerationOptions> = {}) {
    const onDamaged = () => void this.damaged++;
    this.generation = new Generation(folder, { ...OPTIONS, onDamaged, ...options });
  }

  get applied(): number {
    return this.generation.applied.get(0) ?? -1;
  }

  apply(to: number): this {
    for (let at = this.applied + 1; at < to; at += 16) {
      this.generation.apply(0, ALL.slice(at, Math.min(to, at + 16)));
    }
    return this;
  }

  /** What all its searches find. */
  answers(): unknown {
    const cut = { logId: '', epoch: 0, offsets: new Map([[0, this.applied]]) };
    const questions = clusteredVectors({ seed: 4, dimensions: DIMENSIONS });
    const vectors = Array.from({ length: 5 }, () => {
      const vector = new Float32Array(DIMENSIONS);
      questions.next(vector);
      return { vector, terms: undefined };
    });
    const texts = ['harbour', 'violin m7'].map((text) => {
      return { vector: undefined, terms: frequencies(termsOf(text)) };
    });
    return [...vectors, ...texts].map((request) => {
      const body = { ...request, filter: undefined, entity: undefined };
      const found = this.generation.latest('default', cut, NOW_MS, body);
      return (found.rank(20) as readonly Candidate[]).map(({ row, score }) => [
        found.details(row).eventId,
        score,
      ]);
    });
  }
}

/** Places for folders that go with the test. */
export function folders(t: TestContext): (name: string) => string {
  const root = mkdtempSync(join(tmpdir(), 'small-index-'));
  t.after(() => rmSync(root, { recursive: true }));
  return (name) => join(root, name);
}
