import { closeSync, fdatasyncSync, fstatSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { MemplaneError } from '@memplane/contracts';
import type { Bitmap } from '../domain/bitmap.ts';
import { byScore, type Ranked } from '../domain/fusion.ts';
import { Quantizer, SIGNATURE_BYTES } from '../domain/quantize.ts';
import type { ChunkChecks } from './chunk-checks.ts';
import { Kernel } from './kernel.ts';
import { openForUpdate } from './open-file.ts';
import { bestScores } from './select.ts';

const CHUNK_ROWS = 8192;
const HEADER_BYTES = 4096;
const FORMAT = 'memplane vectors 1';
/** Rows that are ranked exactly beyond those asked for: int8 codes seldom err by more places. */
const RERANK_ROWS_MORE = 16;

export interface ArenaOptions {
  readonly folder: string;
  readonly dimensions: number;
  /** Rows that the first stage keeps, at least (ties are kept too). */
  readonly stage1_rows_min: number;
  /** Where no more rows match than this, the first stage is left out. */
  readonly direct_rows_max: number;
}

interface Chunk {
  readonly rowOf: number;
  readonly scales: number;
  readonly bits: number;
  readonly codes: number;
  readonly distances: number;
}

/**
 * All vectors of a collection: codes in memory, in the layout of the file they are read back from,
 * and the float32 vectors on disk. Vectors are only ever added; which of them count is the
 * caller's affair (a bitmap of rows). See docs/adr/0003-vector-index.md.
 *
 * Files: a header of 4 KiB (format, dimensions, key id), then in `codes.bin` chunks of 8,192 rows
 * (row numbers, scales, signatures, codes), in `vectors.bin` records of float32 values, row number
 * and CRC-32. How many of them count, and the sums of the codes, are kept by the caller, in its own
 * transaction.
 */
export class VectorArena {
  readonly quantizer: Quantizer;
  readonly #options: ArenaOptions;
  readonly #checks: ChunkChecks;
  readonly #kernel = new Kernel();
  readonly #chunks: Chunk[] = [];
  readonly #codesFile: number;
  readonly #floatsFile: number;
  readonly #record: Buffer;
  readonly #signature: number;
  readonly #queryCodes: number;
  readonly #histogram: number;
  #candidates = 0;
  #scores = 0;
  #scratchRows = 0;
  #bitmap = 0;
  #bitmapBytes = 0;
  #count = 0;
  #highestRow = -1;
  #flushed = 0;
  #damage: MemplaneError | undefined;

  /**
   * @param count how many vectors the files hold for certain
   * @throws MemplaneError `storage_damaged` for files that are too short, of another kind, or changed
   */
  constructor(options: ArenaOptions, count: number, checks: ChunkChecks) {
    this.#options = options;
    this.#checks = checks;
    this.quantizer = new Quantizer(options.dimensions);
    this.#record = Buffer.alloc(options.dimensions * 4 + 8);
    this.#signature = this.#kernel.take(SIGNATURE_BYTES);
    this.#queryCodes = this.#kernel.take(this.quantizer.stride * 2);
    this.#histogram = this.#kernel.take(2 * 256 * 4);
    this.#codesFile = openFile(join(options.folder, 'codes.bin'), options.dimensions);
    this.#floatsFile = openFile(join(options.folder, 'vectors.bin'), options.dimensions);
    try {
      this.#load(count);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get count(): number {
    return this.#count;
  }

  get bytesHeld(): number {
    return this.#kernel.bytesHeld;
  }

  /** The vector that was found damaged, if one was. */
  get damage(): MemplaneError | undefined {
    return this.#damage;
  }

  /** Adds a vector of length 1. It is on disk after {@link flush}. */
  add(row: number, vector: Float32Array): void {
    const n = this.#count;
    const chunk = this.#chunk(Math.floor(n / CHUNK_ROWS));
    const i = n % CHUNK_ROWS;
    const { quantizer } = this;
    const bytes = this.#kernel.bytes;
    quantizer.signature(vector, bytes, chunk.bits + i * SIGNATURE_BYTES);
    const codes = new Int8Array(bytes.buffer);
    const scale = quantizer.codes(vector, codes, chunk.codes + i * quantizer.stride);
    const view = new DataView(bytes.buffer);
    view.setFloat32(chunk.scales + i * 4, scale, true);
    view.setUint32(chunk.rowOf + i * 4, row, true);
    const record = this.#record;
    const values = options32(record, quantizer.dimensions);
    values.set(vector);
    record.writeUInt32LE(row, quantizer.dimensions * 4);
    record.writeUInt32LE(crc32(record.subarray(0, -4)), quantizer.dimensions * 4 + 4);
    writeWhole(this.#floatsFile, record, HEADER_BYTES + n * record.length);
    this.#count++;
    this.#highestRow = Math.max(this.#highestRow, row);
  }

  /** Writes what was added since the last time. A crash of the process after it loses nothing. */
  flush(): void {
    while (this.#flushed < this.#count) {
      const index = Math.floor(this.#flushed / CHUNK_ROWS);
      const end = Math.min(this.#count, (index + 1) * CHUNK_ROWS);
      const from = this.#flushed - index * CHUNK_ROWS;
      const rows = end - this.#flushed;
      const chunk = this.#chunk(index);
      const base = HEADER_BYTES + index * this.#chunkBytes;
      for (const [area, [place, size]] of this.#areas(chunk).entries()) {
        const at = place + from * size;
        const bytes = this.#kernel.bytes.subarray(at, at + rows * size);
        writeWhole(this.#codesFile, bytes, base + (at - chunk.rowOf));
        this.#checks.extend(index, area, bytes);
      }
      this.#flushed = end;
    }
    this.#checks.save();
  }

  sync(): void {
    fdatasyncSync(this.#codesFile);
    fdatasyncSync(this.#floatsFile);
  }

  close(): void {
    closeSync(this.#codesFile);
    closeSync(this.#floatsFile);
  }

  /**
   * The `count` rows of `allowed` nearest to the query, best first, equal scores by `before`.
   * The same rows always give the same answer, whatever else the arena holds.
   * @param allowedCount how many rows `allowed` has, of `rowCount` in all
   * @throws MemplaneError `storage_damaged` for a vector whose checksum does not hold
   */
  nearest(
    query: Float32Array,
    count: number,
    allowed: Bitmap,
    allowedCount: number,
    rowCount: number,
    before: (a: number, b: number) => number,
  ): Ranked[] {
    if (this.#count === 0 || allowedCount === 0) return [];
    this.#prepare(query, allowed, rowCount);
    const keep = Math.max(this.#options.stage1_rows_min, 16 * count);
    const direct = allowedCount <= Math.max(this.#options.direct_rows_max, keep);
    // Rows that came after the cut must not slip in where all before it are allowed.
    const all = allowedCount >= rowCount && this.#highestRow < rowCount;
    const mask = all ? 0 : this.#bitmap;
    const found = direct ? this.#allAllowed() : this.#signatureStage(keep, mask);
    this.#codeStage(found);
    const memory = this.#kernel.bytes.buffer;
    const indices = new Uint32Array(memory, this.#candidates, found);
    const scores = new Float32Array(memory, this.#scores, found);
    const rowOf = (index: number) => this.#rowOf(index);
    const kept = bestScores(scores, count + RERANK_ROWS_MORE, (a, b) =>
      before(rowOf(indices[a] ?? 0), rowOf(indices[b] ?? 0)),
    );
    const exact: Ranked[] = [];
    for (const place of kept) exact.push(this.#exact(indices[place] ?? 0, query));
    return exact.sort(byScore(before)).slice(0, count);
  }

  #prepare(query: Float32Array, allowed: Bitmap, rowCount: number): void {
    if (this.#count > this.#scratchRows) {
      this.#scratchRows = Math.max(CHUNK_ROWS, 2 ** Math.ceil(Math.log2(this.#count)));
      this.#candidates = this.#kernel.take(this.#scratchRows * 4);
      this.#scores = this.#kernel.take(this.#scratchRows * 4);
    }
    const mask = allowed.bytes(rowCount);
    const needed = Math.max(mask.length, (this.#highestRow >>> 3) + 1);
    if (needed > this.#bitmapBytes) {
      this.#bitmapBytes = 2 ** Math.ceil(Math.log2(needed + 64));
      this.#bitmap = this.#kernel.take(this.#bitmapBytes);
    }
    const bytes = this.#kernel.bytes;
    bytes.set(mask, this.#bitmap);
    bytes.fill(0, this.#bitmap + mask.length, this.#bitmap + this.#bitmapBytes);
    bytes.fill(0, this.#histogram, this.#histogram + 2 * 256 * 4);
    this.quantizer.signature(query, bytes, this.#signature);
    this.quantizer.codes(query, new Int16Array(bytes.buffer), this.#queryCodes / 2);
  }

  #signatureStage(keep: number, mask: number): number {
    const { run } = this.#kernel;
    this.#each((chunk, rows) => {
      const { bits, rowOf, distances } = chunk;
      run.hamming(bits, rows, this.#signature, mask, rowOf, distances, this.#histogram);
    });
    const histogram = new Uint32Array(this.#kernel.bytes.buffer, this.#histogram, 512);
    let limit = 0;
    for (let sum = 0; limit < 254; limit++) {
      sum += (histogram[limit] ?? 0) + (histogram[limit + 256] ?? 0);
      if (sum >= keep) break;
    }
    let found = 0;
    this.#each((chunk, rows, base) => {
      const out = this.#candidates + found * 4;
      found += run.collect(chunk.distances, rows, limit, base, out);
    });
    return found;
  }

  #allAllowed(): number {
    let found = 0;
    this.#each((chunk, rows, base) => {
      const out = this.#candidates + found * 4;
      found += this.#kernel.run.collectSet(this.#bitmap, chunk.rowOf, rows, base, out);
    });
    return found;
  }

  #codeStage(found: number): void {
    const { run } = this.#kernel;
    const indices = new Uint32Array(this.#kernel.bytes.buffer, this.#candidates, found);
    let from = 0;
    this.#each((chunk, rows, base) => {
      let to = from;
      while (to < found && (indices[to] ?? 0) < base + rows) to++;
      const { codes, scales } = chunk;
      const { stride } = this.quantizer;
      const at = this.#candidates + from * 4;
      const out = this.#scores + from * 4;
      run.dots(codes, scales, stride, this.#queryCodes, at, base, to - from, out);
      from = to;
    });
  }

  #exact(index: number, query: Float32Array): Ranked {
    const record = this.#record;
    const size = readSync(
      this.#floatsFile,
      record,
      0,
      record.length,
      HEADER_BYTES + index * record.length,
    );
    const { dimensions } = this.quantizer;
    const row = this.#rowOf(index);
    if (
      size !== record.length ||
      record.readUInt32LE(dimensions * 4 + 4) !== crc32(record.subarray(0, -4)) ||
      record.readUInt32LE(dimensions * 4) !== row
    ) {
      this.#damage = new MemplaneError(
        'storage_damaged',
        `The stored vector ${index} is damaged.`,
        {
          extra: { file: 'vectors.bin', record: index },
        },
      );
      throw this.#damage;
    }
    return { row, score: dot(options32(record, dimensions), query) };
  }

  #rowOf(index: number): number {
    const chunk = this.#chunks[Math.floor(index / CHUNK_ROWS)];
    if (chunk === undefined) throw new RangeError(`no vector ${index}`);
    const view = new DataView(this.#kernel.bytes.buffer);
    return view.getUint32(chunk.rowOf + (index % CHUNK_ROWS) * 4, true);
  }

  #each(visit: (chunk: Chunk, rows: number, base: number) => void): void {
    for (let base = 0; base < this.#count; base += CHUNK_ROWS) {
      const chunk = this.#chunks[base / CHUNK_ROWS];
      if (chunk) visit(chunk, Math.min(CHUNK_ROWS, this.#count - base), base);
    }
  }

  #areas(chunk: Chunk): [place: number, bytesPerRow: number][] {
    return [
      [chunk.rowOf, 4],
      [chunk.scales, 4],
      [chunk.bits, SIGNATURE_BYTES],
      [chunk.codes, this.quantizer.stride],
    ];
  }

  get #chunkBytes(): number {
    return CHUNK_ROWS * (8 + SIGNATURE_BYTES + this.quantizer.stride);
  }

  #chunk(index: number): Chunk {
    const known = this.#chunks[index];
    if (known) return known;
    const rowOf = this.#kernel.take(this.#chunkBytes);
    const scales = rowOf + CHUNK_ROWS * 4;
    const bits = scales + CHUNK_ROWS * 4;
    const codes = bits + CHUNK_ROWS * SIGNATURE_BYTES;
    const chunk = { rowOf, scales, bits, codes, distances: this.#kernel.take(CHUNK_ROWS) };
    this.#chunks[index] = chunk;
    return chunk;
  }

  #load(count: number): void {
    const floats = HEADER_BYTES + count * this.#record.length;
    if (count > 0 && fstatSync(this.#floatsFile).size < floats) throw tooShort('vectors.bin');
    for (let base = 0; base < count; base += CHUNK_ROWS) {
      const index = base / CHUNK_ROWS;
      const rows = Math.min(CHUNK_ROWS, count - base);
      const chunk = this.#chunk(index);
      for (const [area, [place, size]] of this.#areas(chunk).entries()) {
        const at = HEADER_BYTES + index * this.#chunkBytes + (place - chunk.rowOf);
        const { bytes } = this.#kernel;
        const read = readSync(this.#codesFile, bytes, place, rows * size, at);
        if (read !== rows * size) throw tooShort('codes.bin');
        this.#checks.verify(index, area, bytes.subarray(place, place + rows * size));
      }
    }
    this.#count = count;
    this.#flushed = count;
    for (let i = 0; i < count; i++) this.#highestRow = Math.max(this.#highestRow, this.#rowOf(i));
  }
}

/** Sums in a fixed order, in double precision. */
export function dot(a: Float32Array, b: Float32Array): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  const whole = a.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    s0 += (a[i] ?? 0) * (b[i] ?? 0);
    s1 += (a[i + 1] ?? 0) * (b[i + 1] ?? 0);
    s2 += (a[i + 2] ?? 0) * (b[i + 2] ?? 0);
    s3 += (a[i + 3] ?? 0) * (b[i + 3] ?? 0);
  }
  for (let i = whole; i < a.length; i++) s0 += (a[i] ?? 0) * (b[i] ?? 0);
  return s0 + s1 + (s2 + s3);
}

function options32(record: Buffer, dimensions: number): Float32Array {
  return new Float32Array(record.buffer, record.byteOffset, dimensions);
}

function openFile(path: string, dimensions: number): number {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(JSON.stringify({ format: FORMAT, dimensions, keyId: null }));
  const opened = openForUpdate(path);
  if (fstatSync(opened).size === 0) {
    writeWhole(opened, header, 0);
    return opened;
  }
  const found = Buffer.alloc(HEADER_BYTES);
  readSync(opened, found, 0, HEADER_BYTES, 0);
  if (!found.equals(header)) {
    closeSync(opened);
    throw new MemplaneError('storage_damaged', `${path} is not a file of this index.`);
  }
  return opened;
}

function writeWhole(file: number, bytes: Uint8Array, at: number): void {
  let done = 0;
  while (done < bytes.length) done += writeSync(file, bytes, done, bytes.length - done, at + done);
}

function tooShort(file: string): MemplaneError {
  return new MemplaneError('storage_damaged', `${file} is shorter than the index says.`, {
    extra: { file },
  });
}
