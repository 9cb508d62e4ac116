import { MemplaneError } from '@memplane/contracts';
import { checkBlobName, checkBlobPrefix } from './names.ts';
import type {
  BlobContent,
  BlobInfo,
  BlobStore,
  GetOptions,
  ListOptions,
  PutOptions,
  PutResult,
} from './port.ts';

export interface MemoryBlobStoreOptions {
  readonly blobBytesMax?: number;
  readonly getBytesMax?: number;
}

/** Blobs in memory, for tests that try very many orders of steps: it passes the same contract. */
export class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<string, Buffer>();
  readonly #options: MemoryBlobStoreOptions;

  constructor(options: MemoryBlobStoreOptions = {}) {
    this.#options = options;
  }

  async put(name: string, content: BlobContent, options: PutOptions = {}): Promise<PutResult> {
    checkBlobName(name);
    const { blobBytesMax = Number.POSITIVE_INFINITY } = this.#options;
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of content instanceof Uint8Array ? [content] : content) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > blobBytesMax) throw tooLarge(name);
    }
    if (options.ifAbsent === true && this.#blobs.has(name)) return { written: false };
    this.#blobs.set(name, Buffer.concat(chunks));
    return { written: true };
  }

  async get(name: string, { range }: GetOptions = {}): Promise<Buffer> {
    const { getBytesMax = Number.POSITIVE_INFINITY } = this.#options;
    const blob = this.#find(name);
    const { start, length } = range ?? { start: 0, length: blob.length };
    if (start < 0 || length < 0 || start + length > blob.length) {
      throw new MemplaneError('invalid_request', `${name} has no bytes ${start}+${length}`);
    }
    if (length > getBytesMax) throw tooLarge(name);
    return Buffer.from(blob.subarray(start, start + length));
  }

  async *stream(name: string, options: GetOptions = {}): AsyncGenerator<Buffer> {
    const blob = this.#find(checkBlobName(name));
    const { start, length } = options.range ?? { start: 0, length: blob.length };
    yield Buffer.from(blob.subarray(start, start + length));
  }

  async head(name: string): Promise<BlobInfo | undefined> {
    const blob = this.#blobs.get(checkBlobName(name));
    return blob && { name, sizeBytes: blob.length };
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<BlobInfo> {
    checkBlobPrefix(prefix);
    const { after = '', limit = Number.POSITIVE_INFINITY } = options;
    const names = [...this.#blobs.keys()].filter((name) => name.startsWith(prefix) && name > after);
    for (const name of names.sort().slice(0, Math.min(limit, names.length))) {
      const blob = this.#blobs.get(name);
      if (blob !== undefined) yield { name, sizeBytes: blob.length };
    }
  }

  async delete(name: string): Promise<void> {
    this.#blobs.delete(checkBlobName(name));
  }

  #find(name: string): Buffer {
    const blob = this.#blobs.get(checkBlobName(name));
    if (blob === undefined) throw new MemplaneError('not_found', `There is no blob ${name}`);
    return blob;
  }
}

function tooLarge(name: string): MemplaneError {
  return new MemplaneError('body_too_large', `${name} is too large`);
}
