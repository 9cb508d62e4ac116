import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * The typed face of `rocksdb-native`, which ships no types. Reads, writes and iterators call its
 * binding directly: the package's own classes cost a promise a key and a stream a scan. The
 * package is pinned to one exact version, and the tests of this folder cover every call made here.
 */

/** An opaque native struct. */
export type NativeHandle = ArrayBuffer & { readonly __native?: never };

export type NativeError = Error & { readonly code?: string };

export interface NativeOperation {
  readonly type: number;
  readonly columnFamily: NativeHandle;
  readonly key?: Uint8Array;
  readonly value?: Uint8Array;
  readonly start?: Uint8Array;
  readonly end?: Uint8Array;
}

export interface NativeBinding {
  readonly GET: number;
  readonly PUT: number;
  readonly DELETE: number;
  readonly DELETE_RANGE: number;
  readInit(): NativeHandle;
  readBuffer(read: NativeHandle, capacity: number): NativeHandle;
  read(
    db: NativeHandle,
    read: NativeHandle,
    operations: readonly NativeOperation[],
    snapshot: NativeHandle | undefined,
    asyncIo: boolean,
    fillCache: boolean,
    receiver: object,
    onRead: (errors: (NativeError | undefined)[], values: (ArrayBuffer | null)[]) => void,
  ): void;
  writeInit(): NativeHandle;
  writeBuffer(write: NativeHandle, capacity: number): NativeHandle;
  write(
    db: NativeHandle,
    write: NativeHandle,
    operations: readonly NativeOperation[],
    receiver: object,
    onWrite: (error?: NativeError) => void,
  ): void;
  iteratorInit(): NativeHandle;
  iteratorBuffer(iterator: NativeHandle, capacity: number): NativeHandle;
  iteratorOpen(
    db: NativeHandle,
    iterator: NativeHandle,
    columnFamily: NativeHandle,
    gt: Uint8Array,
    gte: Uint8Array,
    lt: Uint8Array,
    lte: Uint8Array,
    reverse: boolean,
    keysOnly: boolean,
    snapshot: NativeHandle | undefined,
    receiver: object,
    onOpen: (error?: NativeError) => void,
    onClose: (error?: NativeError) => void,
    onRead: (
      error: NativeError | undefined,
      keys: readonly ArrayBuffer[],
      values: readonly ArrayBuffer[],
    ) => void,
  ): void;
  iteratorRead(iterator: NativeHandle, capacity: number): void;
  iteratorClose(iterator: NativeHandle): void;
  snapshotCreate(db: NativeHandle): NativeHandle;
  snapshotDestroy(snapshot: NativeHandle): void;
}

interface NativeState {
  readonly _handle: NativeHandle;
  /** Counts work under way; `close` waits until there is none. */
  readonly io: { inc(): void; dec(): void };
}

export interface NativeWalFile {
  readonly path: string;
  readonly number: number;
  readonly size: number;
}

export interface NativeCompaction {
  /** No automatic compaction meanwhile. */
  readonly exclusive: boolean;
  readonly blobGarbageCollectionPolicy: number;
  /** Up to which part of the files of values, by age, their values are moved; 1: all. */
  readonly blobGarbageCollectionAgeCutoff: number;
  readonly bottommostLevelCompaction: number;
}

export interface NativeDatabase {
  readonly _state: NativeState;
  readonly _columnFamily: { readonly _handle: NativeHandle };
  ready(): Promise<void>;
  close(): Promise<void>;
  flush(): Promise<void>;
  compactRange(
    start: Uint8Array | null,
    end: Uint8Array | null,
    options?: NativeCompaction,
  ): Promise<void>;
  approximateSize(
    start: Uint8Array,
    end: Uint8Array,
    options: { includeMemtables: boolean; includeFiles: boolean },
  ): Promise<number>;
  currentWalFile(): Promise<NativeWalFile>;
  getProperty(name: string): Promise<string | null | undefined>;
}

/** The options of `rocksdb-native` that this package sets; each is passed to RocksDB as it is. */
export interface NativeOptions {
  readonly readOnly: boolean;
  readonly createIfMissing: boolean;
  readonly maxBackgroundJobs: number;
  readonly maxOpenFiles: number;
  readonly writeBufferSize: number;
  readonly maxWriteBufferNumber: number;
  readonly tableBlockSize: number;
  readonly tableCacheIndexAndFilterBlocks: boolean;
  readonly blockCache: boolean;
  readonly filterPolicy: object | null;
  readonly topLevelIndexPinningTier: number;
  readonly partitionPinningTier: number;
  readonly unpartitionedPinningTier: number;
  readonly enableBlobFiles: boolean;
  readonly minBlobSize: number;
  readonly blobGarbageCollectionForceThreshold: number;
  readonly blobFileSize: number;
}

interface NativeModule {
  new (path: string, options: NativeOptions): NativeDatabase;
  readonly BloomFilterPolicy: new (bitsPerKey: number) => object;
}

const require = createRequire(import.meta.url);
const entry = require.resolve('rocksdb-native');

export const RocksDb: NativeModule = require(entry);
export const binding: NativeBinding = require(join(dirname(entry), 'binding.js'));

/** All of it, down to the last level and with all values: nothing that is dead is left. */
export const PURGE: NativeCompaction = {
  exclusive: false,
  blobGarbageCollectionPolicy: 1,
  blobGarbageCollectionAgeCutoff: 1,
  bottommostLevelCompaction: 2,
};
