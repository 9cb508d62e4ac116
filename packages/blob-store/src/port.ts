/** Where archives and snapshots are kept: immutable, named blobs. */
export interface BlobStore {
  /**
   * Writes a blob whole or not at all; it is durable when this resolves. An existing blob of the
   * name is replaced, or, with `ifAbsent`, left as it is.
   * @throws MemplaneError `storage_full`, `storage_unavailable`, `body_too_large` beyond the bound
   */
  put(name: string, content: BlobContent, options?: PutOptions): Promise<PutResult>;
  /**
   * The bytes of a blob, or of a range of it that lies within.
   * @throws MemplaneError `not_found`, `body_too_large` beyond the bound: use {@link stream}
   */
  get(name: string, options?: GetOptions): Promise<Buffer>;
  /** The bytes in chunks, in order. Throws as `get` does, on the first step. */
  stream(name: string, options?: GetOptions): AsyncIterable<Buffer>;
  head(name: string): Promise<BlobInfo | undefined>;
  /** All blobs whose names begin with the prefix, in byte order of their names. */
  list(prefix: string, options?: ListOptions): AsyncIterable<BlobInfo>;
  /** Removes a blob; one that is not there is fine. */
  delete(name: string): Promise<void>;
}

export type BlobContent = Uint8Array | AsyncIterable<Uint8Array>;

export interface PutOptions {
  readonly ifAbsent?: boolean;
}

export interface PutResult {
  /** False only with `ifAbsent`, when the blob was there already. */
  readonly written: boolean;
}

export interface GetOptions {
  /** `length` bytes from `start`; both within the blob. */
  readonly range?: { readonly start: number; readonly length: number };
}

export interface ListOptions {
  /** Only names after this one. */
  readonly after?: string;
  readonly limit?: number;
}

export interface BlobInfo {
  readonly name: string;
  readonly sizeBytes: number;
}
