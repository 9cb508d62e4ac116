import { crc32 } from 'node:zlib';
import { MemplaneError } from '@memplane/contracts';

/** Where the sums are kept: in the transaction that says how much of the file counts. */
export interface CheckStore {
  meta(key: string): unknown;
  setMeta(key: string, value: string): void;
}

/**
 * Running CRC-32 sums of a file that grows in areas of chunks, so that after a loss of power a tail
 * that never reached the disk, or a flipped bit, is found when the file is read back.
 */
export class ChunkChecks {
  readonly #store: CheckStore;
  readonly #name: string;
  readonly #chunks = new Map<number, number[]>();
  readonly #changed = new Set<number>();

  /** @param name of the file, e.g. `codes:default` */
  constructor(store: CheckStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  /** Takes in bytes that were added to the end of an area. */
  extend(chunk: number, area: number, bytes: Uint8Array): void {
    const sums = this.#of(chunk);
    sums[area] = crc32(bytes, sums[area] ?? 0);
    this.#changed.add(chunk);
  }

  /** @throws MemplaneError `storage_damaged` unless these are all the bytes of the area */
  verify(chunk: number, area: number, bytes: Uint8Array): void {
    if (crc32(bytes) === this.#of(chunk)[area]) return;
    throw new MemplaneError('storage_damaged', `Chunk ${chunk} of ${this.#name} is damaged.`, {
      extra: { file: this.#name, chunk },
    });
  }

  /** Stores the sums that have changed, in the caller's transaction. */
  save(): void {
    for (const chunk of this.#changed) {
      this.#store.setMeta(this.#key(chunk), JSON.stringify(this.#of(chunk)));
    }
    this.#changed.clear();
  }

  #of(chunk: number): number[] {
    let sums = this.#chunks.get(chunk);
    if (!sums) {
      const found = this.#store.meta(this.#key(chunk));
      sums = found === undefined ? [] : (JSON.parse(String(found)) as number[]);
      this.#chunks.set(chunk, sums);
    }
    return sums;
  }

  #key(chunk: number): string {
    return `check:${this.#name}:${chunk}`;
  }
}
