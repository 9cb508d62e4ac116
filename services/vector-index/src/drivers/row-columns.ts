import { closeSync, fdatasyncSync, fstatSync, readSync, writeSync } from 'node:fs';
import { MemplaneError } from '@memplane/contracts';
import { NO_ROW } from '../domain/bm25.ts';
import type { ChunkChecks } from './chunk-checks.ts';
import { openForUpdate } from './open-file.ts';
import { CHUNK_BITS, CHUNK_ROWS, RECORD_BYTES, RowChunk } from './row-chunk.ts';

const IN_CHUNK = CHUNK_ROWS - 1;
const HEADER_BYTES = 4096;
const FORMAT = 'memplane rows 1';

export const ROW_KINDS = ['memory', 'turn', 'forgotten'] as const;
export type RowKind = (typeof ROW_KINDS)[number];

/** What every search needs of each row, 32 bytes each. */
export interface RowColumn {
  /** The one that its event came in. */
  readonly partition: number;
  readonly kind: RowKind;
  /** Terms of its text; 0 without one. */
  readonly textLength: number;
  /** The turn before it in its dialogue, or NO_ROW. */
  readonly previousTurn: number;
  readonly entityRef: number;
  readonly offset: number;
}

export interface RowColumnsOptions {
  /** How many rows count. */
  readonly count: number;
  /** Of the rows as they were added. */
  readonly checks: ChunkChecks;
  /** The {@link RowColumns.supersededSum} of these rows. */
  readonly supersededSum: number;
  /** The partition that an entity is in, where that may be another than its rows came in. */
  partitionOf?(entityRef: number): number | undefined;
  /** What is applied of a partition: marks of later events belong to a commit that was lost. */
  appliedOf(partition: number): number;
}

/**
 * The rows' columns in memory, in fixed records of a file that is read back whole at a start:
 * partition u16, kind u16, text length u32, previous turn u32, entity u32, offset f64,
 * offset of the event that superseded it f64 (Infinity: none). How many count is kept by the caller,
 * with two sums over what they hold: one of the rows as added, one of the marks set later.
 */
export class RowColumns {
  readonly #file: number;
  readonly #checks: ChunkChecks;
  readonly #partitionOf: RowColumnsOptions['partitionOf'];
  readonly #chunks: RowChunk[] = [];
  readonly #scratch = new RowChunk();
  #supersededSum = 0;
  #count = 0;
  #flushed = 0;
  readonly #changed = new Set<number>();

  /** @throws MemplaneError `storage_damaged` for a file that is too short, of another kind, or changed */
  constructor(path: string, options: RowColumnsOptions) {
    this.#checks = options.checks;
    this.#partitionOf = options.partitionOf;
    this.#file = openForUpdate(path);
    try {
      this.#load(path, options);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get count(): number {
    return this.#count;
  }

  /** Of all marks, whatever order they were set in; below 2³². */
  get supersededSum(): number {
    return this.#supersededSum;
  }

  add(row: RowColumn): number {
    const n = this.#count++;
    this.#chunk(n).set(n & IN_CHUNK, { ...row, kind: ROW_KINDS.indexOf(row.kind) });
    return n;
  }

  /** Marks a row as superseded from an offset of its partition on. */
  supersede(row: number, offset: number): void {
    const before = this.supersededAt(row);
    if (before !== Number.POSITIVE_INFINITY) this.#sum(-markSum(row, before));
    this.#sum(markSum(row, offset));
    this.#chunk(row).supersede(row & IN_CHUNK, offset);
    if (row < this.#flushed) this.#changed.add(row);
  }

  /** The one that its entity is in: that of its place in the log. */
  partition(row: number): number {
    return this.#partitionOf?.(this.entityRef(row)) ?? this.cameIn(row);
  }

  /** The partition that its event came in; a log that grew may have it in another one now. */
  cameIn(row: number): number {
    return this.#at(row)?.partition(row & IN_CHUNK) ?? 0;
  }

  kind(row: number): RowKind {
    const code = this.#at(row)?.kind(row & IN_CHUNK) ?? 0;
    return ROW_KINDS[code] ?? 'forgotten';
  }

  textLength(row: number): number {
    return this.#at(row)?.textLength(row & IN_CHUNK) ?? 0;
  }

  previousTurn(row: number): number {
    return this.#at(row)?.previousTurn(row & IN_CHUNK) ?? NO_ROW;
  }

  entityRef(row: number): number {
    return this.#at(row)?.entityRef(row & IN_CHUNK) ?? 0;
  }

  offset(row: number): number {
    return this.#at(row)?.offset(row & IN_CHUNK) ?? -1;
  }

  supersededAt(row: number): number {
    return this.#at(row)?.supersededAt(row & IN_CHUNK) ?? Number.POSITIVE_INFINITY;
  }

  /** Orders rows by their place in the log, whatever order the index met them in. */
  readonly before = (a: number, b: number): number =>
    this.partition(a) - this.partition(b) || this.offset(a) - this.offset(b);

  flush(): void {
    for (const row of this.#changed) this.#write(row, 1);
    this.#changed.clear();
    while (this.#flushed < this.#count) {
      const chunkEnd = (Math.floor(this.#flushed / CHUNK_ROWS) + 1) * CHUNK_ROWS;
      const rows = Math.min(this.#count, chunkEnd) - this.#flushed;
      this.#write(this.#flushed, rows);
      const chunk = this.#chunk(this.#flushed);
      this.#checks.extend(
        this.#flushed >>> CHUNK_BITS,
        0,
        chunk.asAdded(this.#flushed & IN_CHUNK, rows, this.#scratch),
      );
      this.#flushed += rows;
    }
    this.#checks.save();
  }

  sync(): void {
    fdatasyncSync(this.#file);
  }

  close(): void {
    closeSync(this.#file);
  }

  #load(path: string, { count, supersededSum, appliedOf }: RowColumnsOptions): void {
    const header = Buffer.alloc(HEADER_BYTES);
    header.write(JSON.stringify({ format: FORMAT, keyId: null }));
    const { size } = fstatSync(this.#file);
    if (size === 0 && count === 0) writeSync(this.#file, header, 0, HEADER_BYTES, 0);
    else {
      const found = Buffer.alloc(HEADER_BYTES);
      readSync(this.#file, found, 0, HEADER_BYTES, 0);
      const isWhole = size >= HEADER_BYTES + count * RECORD_BYTES;
      if (!found.equals(header) || !isWhole) throw damaged(path);
    }
    for (let base = 0; base < count; base += CHUNK_ROWS) {
      const rows = Math.min(CHUNK_ROWS, count - base);
      const bytes = this.#chunk(base).bytes.subarray(0, rows * RECORD_BYTES);
      readSync(this.#file, bytes, 0, bytes.length, HEADER_BYTES + base * RECORD_BYTES);
      this.#checks.verify(
        base >>> CHUNK_BITS,
        0,
        this.#chunk(base).asAdded(0, rows, this.#scratch),
      );
    }
    this.#count = count;
    this.#flushed = count;
    for (let row = 0; row < count; row++) {
      const offset = this.supersededAt(row);
      if (offset === Number.POSITIVE_INFINITY) continue;
      if (offset <= appliedOf(this.partition(row))) this.#sum(markSum(row, offset));
      else {
        this.#chunk(row).supersede(row & IN_CHUNK, Number.POSITIVE_INFINITY);
        this.#changed.add(row);
      }
    }
    if (this.#supersededSum !== supersededSum) throw damaged(path);
  }

  #sum(by: number): void {
    this.#supersededSum = (this.#supersededSum + by) >>> 0;
  }

  #write(row: number, rows: number): void {
    const at = (row & IN_CHUNK) * RECORD_BYTES;
    const bytes = this.#chunk(row).bytes.subarray(at, at + rows * RECORD_BYTES);
    writeSync(this.#file, bytes, 0, bytes.length, HEADER_BYTES + row * RECORD_BYTES);
  }

  #at(row: number): RowChunk | undefined {
    return this.#chunks[row >>> CHUNK_BITS];
  }

  #chunk(row: number): RowChunk {
    const index = row >>> CHUNK_BITS;
    const chunk = this.#chunks[index] ?? new RowChunk();
    this.#chunks[index] = chunk;
    return chunk;
  }
}

/** 32 well-mixed bits of a row and its mark. */
function markSum(row: number, offset: number): number {
  const low = Math.imul(offset >>> 0, 0x85ebca6b) ^ Math.imul(Math.floor(offset / 2 ** 32), 31);
  let mixed = Math.imul(row + 1, 0x9e3779b1) ^ low;
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}

function damaged(path: string): MemplaneError {
  return new MemplaneError('storage_damaged', `${path} does not fit the index.`);
}
