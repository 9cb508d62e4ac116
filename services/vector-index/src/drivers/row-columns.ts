import { closeSync, fdatasyncSync, fstatSync, readSync, writeSync } from 'node:fs';
import { MemplaneError } from '@memplane/contracts';
import { NO_ROW } from '../domain/bm25.ts';
import { openForUpdate } from './open-file.ts';

const RECORD_BYTES = 32;
const CHUNK_BITS = 13;
const CHUNK_ROWS = 1 << CHUNK_BITS;
const HEADER_BYTES = 4096;
const FORMAT = 'memplane rows 1';

export const ROW_KINDS = ['memory', 'turn', 'forgotten'] as const;
export type RowKind = (typeof ROW_KINDS)[number];

/** What every search needs of each row, 32 bytes each. */
export interface RowColumn {
  readonly partition: number;
  readonly kind: RowKind;
  /** Terms of its text; 0 without one. */
  readonly textLength: number;
  /** The turn before it in its dialogue, or NO_ROW. */
  readonly previousTurn: number;
  readonly entityRef: number;
  readonly offset: number;
}

/**
 * The rows' columns in memory, in fixed records of a file that is read back whole at a start:
 * partition u16, kind u16, text length u32, previous turn u32, entity u32, offset f64,
 * offset of the event that superseded it f64 (Infinity: none). How many count is kept by the caller.
 */
export class RowColumns {
  readonly #file: number;
  readonly #chunks: DataView[] = [];
  #count = 0;
  #flushed = 0;
  readonly #changed = new Set<number>();

  /** @throws MemplaneError `storage_damaged` for a file that is too short or of another kind. */
  constructor(path: string, count: number) {
    this.#file = openForUpdate(path);
    const header = Buffer.alloc(HEADER_BYTES);
    header.write(JSON.stringify({ format: FORMAT, keyId: null }));
    const { size } = fstatSync(this.#file);
    if (size === 0) writeSync(this.#file, header, 0, HEADER_BYTES, 0);
    else {
      const found = Buffer.alloc(HEADER_BYTES);
      readSync(this.#file, found, 0, HEADER_BYTES, 0);
      if (!found.equals(header) || size < HEADER_BYTES + count * RECORD_BYTES) {
        throw new MemplaneError('storage_damaged', `${path} does not fit the index.`);
      }
    }
    for (let base = 0; base < count; base += CHUNK_ROWS) {
      const view = this.#chunk(base);
      const bytes = Math.min(CHUNK_ROWS, count - base) * RECORD_BYTES;
      readSync(
        this.#file,
        new Uint8Array(view.buffer),
        0,
        bytes,
        HEADER_BYTES + base * RECORD_BYTES,
      );
    }
    this.#count = count;
    this.#flushed = count;
  }

  get count(): number {
    return this.#count;
  }

  add(row: RowColumn): number {
    const n = this.#count++;
    const view = this.#chunk(n);
    const at = (n % CHUNK_ROWS) * RECORD_BYTES;
    view.setUint16(at, row.partition, true);
    view.setUint16(at + 2, ROW_KINDS.indexOf(row.kind), true);
    view.setUint32(at + 4, row.textLength, true);
    view.setUint32(at + 8, row.previousTurn, true);
    view.setUint32(at + 12, row.entityRef, true);
    view.setFloat64(at + 16, row.offset, true);
    view.setFloat64(at + 24, Number.POSITIVE_INFINITY, true);
    return n;
  }

  /** Marks a row as superseded from an offset of its partition on. */
  supersede(row: number, offset: number): void {
    this.#chunk(row).setFloat64((row % CHUNK_ROWS) * RECORD_BYTES + 24, offset, true);
    if (row < this.#flushed) this.#changed.add(row);
  }

  partition(row: number): number {
    return this.#at(row)?.getUint16((row % CHUNK_ROWS) * RECORD_BYTES, true) ?? 0;
  }

  kind(row: number): RowKind {
    const code = this.#at(row)?.getUint16((row % CHUNK_ROWS) * RECORD_BYTES + 2, true) ?? 0;
    return ROW_KINDS[code] ?? 'forgotten';
  }

  textLength(row: number): number {
    return this.#at(row)?.getUint32((row % CHUNK_ROWS) * RECORD_BYTES + 4, true) ?? 0;
  }

  previousTurn(row: number): number {
    return this.#at(row)?.getUint32((row % CHUNK_ROWS) * RECORD_BYTES + 8, true) ?? NO_ROW;
  }

  entityRef(row: number): number {
    return this.#at(row)?.getUint32((row % CHUNK_ROWS) * RECORD_BYTES + 12, true) ?? 0;
  }

  offset(row: number): number {
    return this.#at(row)?.getFloat64((row % CHUNK_ROWS) * RECORD_BYTES + 16, true) ?? -1;
  }

  supersededAt(row: number): number {
    const at = (row % CHUNK_ROWS) * RECORD_BYTES + 24;
    return this.#at(row)?.getFloat64(at, true) ?? Number.POSITIVE_INFINITY;
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
      this.#flushed += rows;
    }
  }

  sync(): void {
    fdatasyncSync(this.#file);
  }

  close(): void {
    closeSync(this.#file);
  }

  #write(row: number, rows: number): void {
    const at = (row % CHUNK_ROWS) * RECORD_BYTES;
    const bytes = new Uint8Array(this.#chunk(row).buffer, at, rows * RECORD_BYTES);
    writeSync(this.#file, bytes, 0, bytes.length, HEADER_BYTES + row * RECORD_BYTES);
  }

  #at(row: number): DataView | undefined {
    return this.#chunks[row >>> CHUNK_BITS];
  }

  #chunk(row: number): DataView {
    const index = Math.floor(row / CHUNK_ROWS);
    const known = this.#chunks[index];
    if (known) return known;
    const view = new DataView(new ArrayBuffer(CHUNK_ROWS * RECORD_BYTES));
    this.#chunks[index] = view;
    return view;
  }
}
