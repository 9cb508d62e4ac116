import path from 'node:path';
import { MemplaneError } from '@memplane/contracts';
import { acquireDirectoryLock, type DirectoryLock } from '../directory-lock.ts';
import type { LogAdmin, LogGrowth, LogInfo, LogReader, LogWriter } from '../port.ts';
import { PollingSource, SharedSource } from './bounds-source.ts';
import { damaged, toStorageError } from './errors.ts';
import { FileCache } from './file-cache.ts';
import { type FileSystem, nodeFileSystem } from './file-system.ts';
import { segmentHeaderBytes } from './format.ts';
import { IndexFiles } from './index-files.ts';
import { createSegment, Journal } from './journal.ts';
import { FORMAT_GROWN, infoOf, type Manifest, ManifestStore, readManifest } from './manifest.ts';
import { MarkFile } from './mark.ts';
import { type EmbeddedLogOptions, type ResolvedLogOptions, resolveLogOptions } from './options.ts';
import { indexDir, journalDir, manifestFile, segmentFile, segmentOfName } from './places.ts';
import { EmbeddedReader } from './reader.ts';
import { newestFirst } from './recent.ts';
import { readSegmentHeader, recoverLog } from './recovery.ts';
import { createSharedState, SharedBounds, type SharedLogState } from './shared-state.ts';
import { EmbeddedWriter } from './writer.ts';

const OPEN_FILES_MAX = 128;
const POLL_MS = 50;

/** What opening found and did: for a line in the log of the service that opens it. */
export interface OpenReport {
  readonly isNew: boolean;
  /** Bytes of an unfinished commit that were cut off the journal's end. */
  readonly tornBytes: number;
  /** Bytes of the journal that had to be read again for the indexes. */
  readonly scannedBytes: number;
  readonly openMs: number;
}

export interface EmbeddedLog {
  readonly writer: EmbeddedWriter & LogWriter;
  readonly admin: LogAdmin;
  readonly growth: LogGrowth;
  /** For readers in this process, in whichever thread. */
  readonly shared: SharedLogState;
  readonly report: OpenReport;
}

/**
 * Opens the log in a folder, or makes one, and takes it for this process alone.
 * @throws MemplaneError `storage_unavailable` (in use, read-only), `storage_full`,
 * `storage_damaged` with the place, where the journal's end can't be told any more.
 */
export async function openEmbeddedLog(options: EmbeddedLogOptions): Promise<EmbeddedLog> {
  const resolved = resolveLogOptions(options);
  const lock = resolved.lock ? acquireDirectoryLock(resolved.dir, 'log') : undefined;
  try {
    return await openLocked(resolved, lock);
  } catch (error) {
    lock?.release();
    throw toStorageError(error, 'opening the log');
  }
}

async function openLocked(
  options: ResolvedLogOptions,
  lock: DirectoryLock | undefined,
): Promise<EmbeddedLog> {
  const { dir, fileSystem: fs } = options;
  const startedAt = performance.now();
  for (const folder of [dir, journalDir(dir), indexDir(dir)]) fs.makeDir(folder);
  const found = readManifest(fs, dir);
  const manifest = found ?? (await createLog(fs, options));
  const info = infoOf(manifest);
  const index = new IndexFiles(fs, dir);
  const openMark = ({ partitions }: LogInfo) => MarkFile.open(fs, dir, partitions);
  const mark = openMark(info);
  const recovered = recoverLog(fs, dir, manifest, index, mark.read());
  // an earlier process may have ended between making the last segment and syncing its name
  await recovered.file.sync();
  await fs.syncDir(journalDir(dir));
  if (recovered.isRebuilt) await index.sync();
  const { segments, position, nextCommit, highestHlc, ends } = recovered;
  const segment = segments.at(-1)?.segment ?? 0;
  mark.write({ segment, position, nextCommit, highestHlc, ends });
  const shared = createSharedState(info);
  const bounds = new SharedBounds(shared);
  for (let p = 0; p < info.partitions; p++) {
    bounds.setStart(p, manifest.starts[p] ?? 0);
    bounds.setEnd(p, ends[p] ?? 0);
  }
  const journal = new Journal(fs, dir, options.segmentBytes, recovered);
  journal.removeBefore(manifest.starts);
  const files = new FileCache(fs, OPEN_FILES_MAX);
  const writer = new EmbeddedWriter({
    info,
    journal,
    index,
    mark,
    openMark,
    manifest: new ManifestStore(fs, dir, manifest),
    bounds,
    ends,
    nextCommit,
    highestHlc,
    appendQueueBytesMax: options.appendQueueBytesMax,
    produceDeadlineMs: options.produceDeadlineMs,
    monotonicMs: options.monotonicMs,
    recent: (limit) => {
      const { partitions } = bounds.info;
      const all = Array.from({ length: partitions }, (_, p) => bounds.bounds(p));
      return newestFirst(files, dir, all, limit);
    },
    release: () => {
      files.close();
      lock?.release();
    },
  });
  const { tornBytes, scannedBytes } = recovered;
  const openMs = performance.now() - startedAt;
  const report = { isNew: found === undefined, tornBytes, scannedBytes, openMs };
  return { writer, admin: writer, growth: writer, shared, report };
}

/** Makes the first segment, then the manifest: a folder without one holds no log yet. */
async function createLog(fs: FileSystem, options: ResolvedLogOptions): Promise<Manifest> {
  const { dir, partitions, newEpoch: epoch, newStarts, newLineage } = options;
  for (const name of fs.list(journalDir(dir))) {
    const segment = segmentOfName(name);
    if (segment === undefined) continue;
    // left over from a first start that did not get to its manifest: a header and nothing more
    const header = readSegmentHeader(fs, dir, segment);
    const empty = segmentHeaderBytes(header?.partitions ?? partitions);
    if ((fs.sizeOf(segmentFile(dir, segment)) ?? 0) > empty) {
      throw damaged('The manifest of the log is missing', {
        file: path.basename(manifestFile(dir)),
      });
    }
    fs.remove(segmentFile(dir, segment));
  }
  const manifest: Manifest = {
    format: newLineage === undefined ? 1 : FORMAT_GROWN,
    keyId: 0,
    logId: options.newLogId(),
    epoch,
    partitions,
    starts: Array.from({ length: partitions }, (_, p) => newStarts[p] ?? 0),
    ...(newLineage === undefined
      ? {}
      : { lineage: { ...newLineage, bases: [...newLineage.bases] } }),
    indexSyncedBefore: 0,
  };
  const first = await createSegment(fs, dir, {
    logId: manifest.logId,
    epoch,
    segment: 1,
    partitions,
    previousEnd: 0,
    nextCommit: 1,
    highestHlc: 0n,
    bases: manifest.starts,
  });
  first.close();
  await fs.syncDir(path.dirname(path.resolve(dir)));
  await fs.replaceText(manifestFile(dir), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

export interface EmbeddedReaderOptions {
  readonly dir: string;
  /** From the writer of this process; without it the reader looks into the files every 50 ms. */
  readonly shared?: SharedLogState;
  readonly fileSystem?: FileSystem;
}

/**
 * Opens an embedded log for reading, in any thread or process.
 * @throws MemplaneError `storage_unavailable` where there is no log.
 */
export async function openEmbeddedReader(options: EmbeddedReaderOptions): Promise<LogReader> {
  const { dir, shared } = options;
  const fs = options.fileSystem ?? nodeFileSystem;
  const files = new FileCache(fs, OPEN_FILES_MAX);
  if (shared !== undefined) {
    return new EmbeddedReader(fs, dir, files, new SharedSource(shared));
  }
  try {
    const manifest = readManifest(fs, dir);
    if (manifest === undefined) {
      throw new MemplaneError('storage_unavailable', `There is no log in ${dir}`);
    }
    return new EmbeddedReader(fs, dir, files, new PollingSource(fs, dir, manifest, POLL_MS));
  } catch (error) {
    throw toStorageError(error, 'opening the log');
  }
}
