import type { BlobStore } from '@memplane/blob-store';
import { formatHlc } from '@memplane/clock';
import { PLANE_VERSION } from '@memplane/contracts';
import type { Lineage, LogRecord } from '@memplane/event-log';
import { encodeSegment, SegmentBody } from '@memplane/materializer/backup';
import { pause } from '@memplane/runtime';
import type { LedgerHead } from '../ledger/ledger-object.ts';
import type { PlaneHttp } from '../operate/plane-http.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import type { Stages } from '../output/stages.ts';
import { BackupReader } from './backup-reader.ts';
import { checkBackup } from './check.ts';
import { exportedLines } from './export-lines.ts';
import { recordsOf, startsOf } from './log-reads.ts';
import { encodeManifest, MANIFEST_NAME, type Manifest } from './manifest.ts';
import { isPartName, PART_NAMES } from './part-names.ts';
import { PartWriter, zstd } from './part-writer.ts';
import {
  logShape,
  ownedShards,
  replicasOf,
  type ShardStates,
  shardSnapshot,
  type ViewDigests,
  viewDigests,
} from './plane-reads.ts';

export interface BackupOptions {
  readonly plane: PlaneHttp;
  readonly blobs: BlobStore;
  /** Brings the erasure ledger up to date. @returns up to where it then goes */
  readonly exportLedger: () => Promise<LedgerHead>;
  readonly stages: Pick<Stages, 'begin' | 'add'>;
  /** How long the views may take until they have all that was in the log at the beginning. */
  readonly catchUpTimeoutMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Bytes of values that share a segment, and are in memory at once. */
const SEGMENT_BYTES = 8 * 1024 * 1024;
const CATCH_UP_PAUSE_MS = 100;
/** A command has nothing to be called off by, but its end. */
const NO_SIGNAL = new AbortController().signal;

/**
 * Backs up a running plane at one cut: of each partition, what the views had applied at one moment.
 * All that was acknowledged before the backup began is in it. First come the snapshots of shards,
 * none of them beyond the cut, then the cut with the digests of the views, then the events up to
 * it, then what is not of the log. The manifest is written last, once all was read back. The erasure
 * ledger comes before all that, so that what it has is in the cut.
 * @throws CommandError where the place is taken, or the plane is not fit to be backed up
 */
export async function backup(options: BackupOptions): Promise<Manifest> {
  const { plane, blobs, stages } = options;
  await clearPlace(blobs);
  const ledger = await options.exportLedger();
  const writer = new PartWriter(blobs, (bytes) => stages.add(bytes));
  const { epoch, lineage } = await logShape(plane);
  const begun = await ownedShards(plane);
  refuseUnfit(begun);
  if (begun.epoch !== epoch) throw grown();
  await refuseUnknownReplicas(plane);
  stages.begin('views', sizeGuess(begun));
  const snapshots = new Map<number, number>();
  for (const { partition } of begun.shards) {
    const found = await shardSnapshot(plane, partition);
    if (found === undefined) continue;
    const { offset: lastOffset, content } = found;
    snapshots.set(partition, lastOffset);
    const name = PART_NAMES.shard(partition);
    await writer.write({ name, kind: 'shard', partition, lastOffset }, content);
  }
  const views = await settledDigests(options, begun);
  const { starts, hlc } = await writeEvents(options, { writer, views, snapshots, lineage });
  stages.begin('other values', 1);
  await writeExports(plane, writer);
  const { logId, digest, shards } = views;
  const { manifest, bytes } = encodeManifest({
    format: 1,
    keyId: 0,
    tool: { name: 'memplane', version: PLANE_VERSION },
    createdAt: new Date(options.now()).toISOString(),
    cut: {
      ...{ logId, epoch },
      ...(lineage === undefined ? {} : { lineage }),
      offsets: shards.map(({ appliedOffset }) => appliedOffset),
      starts,
      ...(hlc === 0n ? {} : { hlc: formatHlc(hlc) }),
    },
    views: { digest, shards: [...shards] },
    ledger,
    parts: writer.parts,
  });
  stages.begin('reading back', sizeOf(writer));
  await checkBackup(new BackupReader(blobs, manifest), (size) => stages.add(size));
  const { written } = await blobs.put(MANIFEST_NAME, bytes, { ifAbsent: true });
  if (!written) throw taken();
  return manifest;
}

/** What a backup that was cut has left goes; anything else stays, and nothing is put beside it. */
async function clearPlace(blobs: BlobStore): Promise<void> {
  const left: string[] = [];
  for await (const { name } of blobs.list('')) {
    if (name === MANIFEST_NAME) throw taken();
    if (!isPartName(name)) {
      throw new CommandError(`The place holds something else (${name}).`, EXIT.refused);
    }
    left.push(name);
  }
  for (const name of left) await blobs.delete(name);
}

function taken(): CommandError {
  return new CommandError('The place holds a backup already: give another one.', EXIT.refused);
}

function refuseUnfit({ shards }: ShardStates): void {
  const damaged = shards.find(({ state }) => state === 'damaged');
  if (damaged === undefined) return;
  const { partition, problem } = damaged;
  throw new CommandError(`Shard ${partition} is damaged (${problem}): see \`memplane doctor\`.`);
}

/** The digests at a moment at which the views have all that the log had at the beginning. */
async function settledDigests(options: BackupOptions, begun: ShardStates): Promise<ViewDigests> {
  const ends = begun.shards.map(({ appliedOffset, lag }) => appliedOffset + lag);
  const deadline = performance.now() + options.catchUpTimeoutMs;
  for (;;) {
    const { shards } = await ownedShards(options.plane);
    if (ends.every((end, partition) => (shards[partition]?.appliedOffset ?? -1) >= end)) break;
    if (performance.now() > deadline) {
      throw new CommandError('The views do not catch up with the log.', EXIT.unavailable);
    }
    await pause(CATCH_UP_PAUSE_MS, NO_SIGNAL);
  }
  const digests = await viewDigests(options.plane);
  if (digests.logId === begun.logId) return digests;
  throw new CommandError('Another plane answers now than at the beginning.');
}

interface EventsToWrite {
  readonly writer: PartWriter;
  readonly views: ViewDigests;
  /** Up to where those of shards go. */
  readonly snapshots: ReadonlyMap<number, number>;
  readonly lineage: Lineage | undefined;
}

function grown(): CommandError {
  return new CommandError('The log has grown meanwhile: begin the backup anew.', EXIT.unavailable);
}

async function writeEvents(
  { plane, stages }: BackupOptions,
  { writer, views, snapshots, lineage }: EventsToWrite,
): Promise<{ starts: number[]; hlc: bigint }> {
  const states = await ownedShards(plane);
  const { epoch, logId } = states;
  // The barriers are where the cut was made: in another epoch it would be another cut.
  if (states.shards.length !== views.shards.length) throw grown();
  const starts = startsOf(states, lineage);
  const ranges = views.shards.map(({ partition, appliedOffset }) => {
    const from = starts[partition] ?? 0;
    if (from > (lineage?.bases[partition] ?? 0) && (snapshots.get(partition) ?? -1) + 1 < from) {
      throw new CommandError(`The history of partition ${partition} has just moved: begin anew.`);
    }
    return { partition, from, to: appliedOffset };
  });
  stages.begin(
    'events',
    ranges.reduce((sum, { from, to }) => sum + Math.max(0, to - from + 1), 0),
  );
  // The bar counts events here, not bytes.
  const segments = new PartWriter(writer.blobs);
  const body = new SegmentBody();
  let newest = 0n;
  for (const { partition, from, to } of ranges) {
    let records: LogRecord[] = [];
    let bytes = 0;
    const flush = async () => {
      if (records.length === 0) return;
      body.clear();
      body.add(records);
      const { header, blob } = await encodeSegment({ logId, epoch }, body);
      const { firstOffset, lastOffset } = header;
      const name = PART_NAMES.events(partition, firstOffset, lastOffset);
      await segments.write({ name, kind: 'events', partition, firstOffset, lastOffset }, blob);
      stages.add(records.length);
      records = [];
      bytes = 0;
    };
    for await (const record of recordsOf(plane, { partition, from, to }, lineage)) {
      records.push(record);
      bytes += record.value.length;
      if (record.hlc > newest) newest = record.hlc;
      if (bytes >= SEGMENT_BYTES) await flush();
    }
    await flush();
  }
  writer.parts.push(...segments.parts);
  return { starts: ranges.map(({ from }) => from), hlc: newest };
}

/** What is not of the log: of each replica and each instance, since none has all of it. */
async function writeExports(plane: PlaneHttp, writer: PartWriter): Promise<void> {
  for (const [i, replica] of plane.instancesOf('crdt-sync').entries()) {
    const crdts = exportedLines(replica, 'crdt-sync', '/v1/export');
    await writer.write({ name: PART_NAMES.crdts(i), kind: 'crdts' }, zstd(crdts));
  }
  const strong = exportedLines(plane, 'event-ingest', '/v1/strong-records');
  await writer.write({ name: PART_NAMES.strong, kind: 'strong' }, zstd(strong));
  for (const [i, instance] of plane.instancesOf('vector-index').entries()) {
    const vectors = exportedLines(instance, 'vector-index', '/v1/computed-vectors');
    await writer.write({ name: PART_NAMES.vectors(i), kind: 'vectors' }, zstd(vectors));
  }
}

/** What a replica has acknowledged, others may not have yet. */
async function refuseUnknownReplicas(plane: PlaneHttp): Promise<void> {
  const known = plane.instancesOf('crdt-sync').length;
  const replicas = await replicasOf(plane);
  if (replicas <= known) return;
  throw new CommandError(
    `The plane has ${replicas} replicas of crdt-sync: name them all in MEMPLANE_CRDT_SYNC_URL.`,
    EXIT.refused,
  );
}

function sizeGuess({ shards }: ShardStates): number {
  return shards.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function sizeOf({ parts }: PartWriter): number {
  return parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
