import { type NativeOptions, RocksDb } from './native.ts';

/**
 * Settings of one store. RocksDB's own block cache (32 MiB when it is on) can only be switched,
 * not sized, through the binding; so a store's memory is about
 * `writeBufferBytes × writeBuffersMax + 32 MiB`: 48 MiB by default.
 */
export interface RocksOptions {
  /** Refuse to create or change anything; default false. */
  readonly readOnly?: boolean;
  /** Bytes that gather in memory before they become a file; default 8 MiB. */
  readonly writeBufferBytes?: number;
  /** How many such buffers may exist, the one being written to included; default 2. */
  readonly writeBuffersMax?: number;
  /** Cache blocks of files in memory (32 MiB at most); default true. */
  readonly blockCache?: boolean;
  /** Size of a block of a file; default 8 KiB. */
  readonly blockBytes?: number;
  /** Bits of Bloom filter a key, 0 for none; default 10. */
  readonly bloomBitsPerKey?: number;
  /** Files held open; default 256. */
  readonly openFilesMax?: number;
  /** Threads that flush and compact; default 2. */
  readonly backgroundJobsMax?: number;
  /** Values of at least this size go into separate files that compaction does not copy. */
  readonly blobValueBytesMin?: number;
  /** Rows that a scan fetches in one step; default 256. */
  readonly scanChunkRows?: number;
}

const PINNING_NONE = 0;

export function nativeOptions(options: RocksOptions): NativeOptions {
  const bloomBits = options.bloomBitsPerKey ?? 10;
  return {
    readOnly: options.readOnly ?? false,
    createIfMissing: options.readOnly !== true,
    maxBackgroundJobs: options.backgroundJobsMax ?? 2,
    maxOpenFiles: options.openFilesMax ?? 256,
    writeBufferSize: options.writeBufferBytes ?? 8 * 1024 * 1024,
    maxWriteBufferNumber: options.writeBuffersMax ?? 2,
    tableBlockSize: options.blockBytes ?? 8 * 1024,
    // Inside the cache and not pinned: else indexes and filters grow with the data, unbounded.
    tableCacheIndexAndFilterBlocks: options.blockCache ?? true,
    topLevelIndexPinningTier: PINNING_NONE,
    partitionPinningTier: PINNING_NONE,
    unpartitionedPinningTier: PINNING_NONE,
    blockCache: options.blockCache ?? true,
    filterPolicy: bloomBits === 0 ? null : new RocksDb.BloomFilterPolicy(bloomBits),
    enableBlobFiles: options.blobValueBytesMin !== undefined,
    minBlobSize: options.blobValueBytesMin ?? 0,
    // The oldest of those files are rewritten once half of them is of no use any more.
    blobGarbageCollectionForceThreshold: 0.5,
    blobFileSize: options.blobValueBytesMin === undefined ? 0 : 64 * 1024 * 1024,
  };
}
