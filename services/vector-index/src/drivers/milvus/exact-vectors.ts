import { closeSync, fdatasyncSync, fstatSync, readSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { MemplaneError } from '@memplane/contracts';
import { openForUpdate } from '../open-file.ts';
import { dot } from '../vector-arena.ts';
import type { CachedFile } from './vector-cache.ts';

const HEADER_BYTES = 4096;
const FORMAT = 'memplane exact vectors 1';

/**
 * Exact vectors by row number, in a file of fixed records (float32 values, row number + 1, CRC-32;
 * a hole for a row without a vector) after a header of 4 KiB (format, dimensions, key id).
 */
export class ExactVectors {
  readonly #file: number;
  readonly #record: Buffer;
  readonly #values: Float32Array;
  readonly #cache: CachedFile;
  #damage: MemplaneError | undefined;
  #isClosed = false;

  /** @throws MemplaneError `storage_damaged` for a file of another kind */
  constructor(path: string, dimensions: number, cache: CachedFile) {
    this.#cache = cache;
    this.#record = Buffer.from(new ArrayBuffer(dimensions * 4 + 8));
    this.#values = new Float32Array(this.#record.buffer, 0, dimensions);
    this.#file = openForUpdate(path);
    const header = Buffer.alloc(HEADER_BYTES);
    header.write(JSON.stringify({ format: FORMAT, dimensions, keyId: null }));
    if (fstatSync(this.#file).size === 0) {
      writeSync(this.#file, header, 0, HEADER_BYTES, 0);
      return;
    }
    const found = Buffer.alloc(HEADER_BYTES);
    readSync(this.#file, found, 0, HEADER_BYTES, 0);
    if (found.equals(header)) return;
    closeSync(this.#file);
    throw new MemplaneError('storage_damaged', `${path} is not a file of this index.`);
  }

  get damage(): MemplaneError | undefined {
    return this.#damage;
  }

  write(row: number, vector: Float32Array): void {
    const record = this.#record;
    this.#cache.forget(row);
    this.#values.set(vector);
    record.writeUInt32LE(row + 1, record.length - 8);
    record.writeUInt32LE(crc32(record.subarray(0, -4)), record.length - 4);
    const at = HEADER_BYTES + row * record.length;
    let done = 0;
    while (done < record.length) {
      done += writeSync(this.#file, record, done, record.length - done, at + done);
    }
  }

  /** A copy. @throws MemplaneError `storage_damaged` */
  read(row: number): Float32Array {
    this.#load(row);
    return this.#values.slice();
  }

  /** The dot product, summed in a fixed order. @throws MemplaneError `storage_damaged` */
  score(row: number, query: Float32Array): number {
    const cached = this.#isClosed ? undefined : this.#cache.score(row, query);
    if (cached !== undefined) return cached;
    this.#load(row);
    this.#cache.keep(row, this.#values);
    return dot(this.#values, query);
  }

  sync(): void {
    fdatasyncSync(this.#file);
  }

  close(): void {
    this.#isClosed = true;
    closeSync(this.#file);
  }

  #load(row: number): void {
    // A search that was under way while the index began anew.
    if (this.#isClosed) throw new MemplaneError('not_yet_visible', 'The index begins anew.');
    const record = this.#record;
    const { length } = record;
    const size = readSync(this.#file, record, 0, length, HEADER_BYTES + row * length);
    if (
      size === length &&
      record.readUInt32LE(length - 8) === row + 1 &&
      record.readUInt32LE(length - 4) === crc32(record.subarray(0, -4))
    ) {
      return;
    }
    this.#damage = new MemplaneError('storage_damaged', `The vector of row ${row} is damaged.`, {
      extra: { file: 'exact.bin', record: row },
    });
    throw this.#damage;
  }
}
