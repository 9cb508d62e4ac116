import type { CloudEvent, Json } from '@memplane/contracts';
import { compileFilter, parseFilter } from '@memplane/filter';
import { clusteredVectors, type Seeded } from '@memplane/testkit';
import { readVector } from '../domain/embedding.ts';
import { type MemoryRow, memoryRow } from '../domain/memory-row.ts';
import type { EventLine } from '../domain/ports.ts';

export const START_MS = 1_790_000_000_000;
export const MODEL = 'm';

export interface LinesOptions {
  readonly partitions: number;
  readonly dimensions: number;
  readonly entities: number;
  /** Names of memories within an entity: the fewer, the more are replaced. */
  readonly memories: number;
  /** Chances of an event to be something else than a new memory. */
  readonly forgotten: number;
  readonly turns: number;
  readonly ttl: number;
  readonly tenants: readonly string[];
}

/** A log of memories, and what a search of it must find, worked out naively from the whole of it. */
export class RecallModel {
  readonly log: EventLine[][];
  readonly #options: LinesOptions;
  readonly #random: Seeded;
  readonly #vectors: ReturnType<typeof clusteredVectors>;
  #count = 0;

  constructor(random: Seeded, options: LinesOptions) {
    this.#options = options;
    this.#random = random;
    this.#vectors = clusteredVectors({ seed: random.seed, dimensions: options.dimensions });
    this.log = Array.from({ length: options.partitions }, () => []);
  }

  get ends(): Map<number, number> {
    return new Map(this.log.map((lines, partition) => [partition, lines.length - 1]));
  }

  vector(): Float32Array {
    const vector = new Float32Array(this.#options.dimensions);
    this.#vectors.next(vector);
    return vector;
  }

  /** Appends events. Their `n` counts up, so that `n % k` has every selectivity. */
  append(count: number): void {
    for (let i = 0; i < count; i++) this.#appendOne();
  }

  #appendOne(): void {
    const random = this.#random;
    const options = this.#options;
    const n = this.#count++;
    const e = random.int(0, options.entities - 1);
    const partition = e % options.partitions;
    const id = `m${random.int(0, options.memories - 1)}`;
    const text = `${random.pick(['harbour', 'violin', 'orchard', 'lantern'])} ${n}`;
    const kind = random.next();
    const { forgotten, turns } = options;
    let data: unknown;
    if (kind < forgotten) data = { memory: { id, forgotten: true } };
    else if (kind < forgotten + turns) data = { data: { text } };
    else {
      const embedding = {
        model: MODEL,
        values: Buffer.from(this.vector().buffer).toString('base64'),
      };
      const metadata = { g1000: n % 1000, g100: n % 100, g10: `ten ${n % 10}`, odd: n % 2 === 1 };
      const ttl = random.chance(options.ttl) ? { ttl: 500 } : {};
      data = { memory: { id, text, metadata, embedding, ...ttl } };
    }
    const stamp = (START_MS + n).toString(16).padStart(12, '0');
    const event = {
      id: `e${n}`,
      subject: `user/${e}`,
      tenant: random.pick(options.tenants),
      hlc: `${stamp}-0000`,
      data,
    } as unknown as CloudEvent;
    const lines = this.log[partition];
    lines?.push({ partition, epoch: 0, offset: lines.length, event });
  }

  /** The rows that are live at a cut. */
  live(tenant: string, ends: ReadonlyMap<number, number>, timeMs: number): MemoryRow[] {
    const current = new Map<string, MemoryRow>();
    for (const [partition, lines] of this.log.entries()) {
      for (const { event } of lines.slice(0, (ends.get(partition) ?? -1) + 1)) {
        const row = memoryRow(event);
        if (!row || row.tenant !== tenant) continue;
        const name = row.kind === 'turn' ? `turn ${row.eventId}` : row.memoryId;
        current.set(`${row.entity} ${name}`, row);
      }
    }
    return [...current.values()].filter(
      (row) => row.kind !== 'forgotten' && (row.expiresMs ?? Infinity) >= timeMs,
    );
  }

  /** The nearest of rows, exactly. */
  nearest(
    rows: readonly MemoryRow[],
    query: Float32Array,
    count: number,
    filter?: { readonly [key: string]: Json },
    entity?: string,
  ): { eventId: string; score: number }[] {
    const matches = compileFilter(parseFilter(filter ?? {}, { field: 'filter' }));
    return rows
      .filter((row) => row.embedding && matches((row.metadata ?? {}) as Json))
      .filter((row) => entity === undefined || row.entity === entity)
      .map((row) => ({ eventId: row.eventId, score: this.#score(row, query) }))
      .sort((a, b) => b.score - a.score)
      .slice(0, count);
  }

  #score(row: MemoryRow, query: Float32Array): number {
    const vector = readVector(row.embedding?.values ?? [], query.length);
    if (typeof vector === 'string') throw new Error(vector);
    return vector.reduce((sum, value, i) => sum + value * (query[i] ?? 0), 0);
  }
}
