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

/** The blobs of a store whose names begin with a prefix, which those who use them never see. */
export class PrefixedBlobStore implements BlobStore {
  readonly #store: BlobStore;
  readonly #prefix: string;

  /** @param prefix ends with a slash; @throws MemplaneError `invalid_request` for one that can't be */
  constructor(store: BlobStore, prefix: string) {
    this.#store = store;
    this.#prefix = checkBlobPrefix(prefix);
  }

  async put(name: string, content: BlobContent, options?: PutOptions): Promise<PutResult> {
    return await this.#store.put(this.#nameOf(name), content, options);
  }

  async get(name: string, options?: GetOptions): Promise<Buffer> {
    return await this.#store.get(this.#nameOf(name), options);
  }

  async *stream(name: string, options?: GetOptions): AsyncGenerator<Buffer, void, undefined> {
    yield* this.#store.stream(this.#nameOf(name), options);
  }

  async head(name: string): Promise<BlobInfo | undefined> {
    const info = await this.#store.head(this.#nameOf(name));
    return info && { ...info, name };
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncIterable<BlobInfo> {
    const { after } = options;
    const found = this.#store.list(this.#prefix + checkBlobPrefix(prefix), {
      ...options,
      ...(after === undefined ? {} : { after: this.#prefix + after }),
    });
    for await (const info of found) yield { ...info, name: info.name.slice(this.#prefix.length) };
  }

  async delete(name: string): Promise<void> {
    await this.#store.delete(this.#nameOf(name));
  }

  #nameOf(name: string): string {
    return this.#prefix + checkBlobName(name);
  }
}
