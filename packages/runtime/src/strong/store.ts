/** A stored text, and the version that a compare-and-set names. */
export interface Versioned {
  readonly value: string;
  readonly version: string;
}

/**
 * How a write ended. `conflict`: nothing was written, the key is at another version. `unknown`: it
 * may have been written, or may be yet; whoever needs to know reads again and looks for what only
 * that write said.
 */
export type WriteOutcome =
  | { readonly kind: 'written'; readonly version: string }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'unknown'; readonly cause?: unknown };

/**
 * A linearizable map from keys to texts. Keys begin with a tenant and are of
 * `[A-Za-z0-9._~:@=-]{1,450}`. A write is durable when it is answered `written`; what a read tells is
 * durable too.
 */
export interface StrongStore {
  /** @throws MemplaneError `no_quorum`, `storage_full`, `storage_unavailable`, … all transient */
  get(key: string): Promise<Versioned | undefined>;
  /** Writes where there is nothing. @throws as `get`, where surely nothing was written */
  create(key: string, value: string): Promise<WriteOutcome>;
  /** Writes where the key is still at that version. @throws as `create` */
  compareAndSet(key: string, value: string, version: string): Promise<WriteOutcome>;
  /** Removes the key where it is still at that version. @throws as `create` */
  delete(key: string, version: string): Promise<WriteOutcome>;
  /**
   * All there is whose key begins with `prefix` (a tenant and a point at least), or all, in the
   * order of the keys; each no older than the call. Absent where a driver can not list.
   */
  records?(prefix?: string): AsyncIterable<StrongRecord>;
  /**
   * Makes what was removed or replaced go from the driver's own files. Absent where that is not the
   * driver's to do.
   */
  purge?(): Promise<void>;
  close(): Promise<void>;
}

export interface StrongRecord {
  readonly key: string;
  readonly value: string;
}

/** The longest key. */
export const KEY_CHARS_MAX = 450;
