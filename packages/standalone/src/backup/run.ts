import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { BackupFlags, RestoreFlags } from '../commands/backup-commands.ts';
import { connect, listOf, planeHttp } from '../commands/connection.ts';
import { exportTo } from '../ledger/export.ts';
import { ledgerBeside, refuseWithin } from '../ledger/ledger-place.ts';
import { type FoundLedger, ledgerOf } from '../ledger/of-backup.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import type { Output } from '../output/output.ts';
import { Stages } from '../output/stages.ts';
import { bytes, count, seconds } from '../output/text.ts';
import { backup } from './backup.ts';
import { BackupReader } from './backup-reader.ts';
import { checkBackup } from './check.ts';
import type { RestoreReport } from './fill.ts';
import type { Manifest } from './manifest.ts';
import { openPlace } from './place.ts';
import { type RestoreOptions, restore, restoreStores } from './restore.ts';
import type { Stores } from './stores-target.ts';

/** How long the views may take until they have what was in the log when a backup began. */
const CATCH_UP_TIMEOUT_MS = 5 * 60_000;

export async function runBackup(options: BackupFlags, command: Command): Promise<void> {
  const { output } = connect(command);
  const ledger = options.ledger ?? ledgerBeside(options.to);
  refuseWithin(ledger, options.to);
  const place = await openPlace(options.to, false, process.env);
  const startedAt = performance.now();
  const plane = planeHttp(command);
  const manifest = await withStages((stages) =>
    backup({
      plane,
      blobs: place.blobs,
      exportLedger: async () => (await exportTo(ledger, plane)).ledger.head,
      stages,
      catchUpTimeoutMs: CATCH_UP_TIMEOUT_MS,
      now: Date.now,
    }),
  ).finally(() => place.close());
  const tookMs = Math.round(performance.now() - startedAt);
  output.document({ place: options.to, ...summaryOf(manifest), tookMs }, () => {
    output.line(`Backed up in ${seconds(tookMs)}, and read back:`);
    showSummary(output, options.to, manifest);
    if (manifest.ledger?.number === 0) return;
    output.line(`What was erased so far is in the erasure ledger ${ledger}: a restore needs it.`);
  });
}

export async function runRestore(options: RestoreFlags, command: Command): Promise<void> {
  const { output } = connect(command);
  const { dataDir } = options;
  const stores = storesOf(options);
  if (!options.check && (dataDir === undefined) === (stores === undefined)) {
    throw new CommandError('Give --data-dir or --kafka, where the new plane is to be.', EXIT.usage);
  }
  const untilMs = options.until === undefined ? undefined : timeOf(options.until);
  const place = await openPlace(options.from, true, process.env);
  try {
    const reader = await BackupReader.open(place.blobs);
    const found = await ledgerOf(reader, options, process.env);
    const how = { backup: reader, untilMs, output, found, withoutLedger: options.withoutLedger };
    if (options.check) await check(reader, options.from, output, found);
    else if (stores !== undefined) await intoStores(stores, how);
    else await into(resolve(dataDir ?? ''), how);
  } finally {
    place.close();
  }
}

/** @throws CommandError (usage) where some are given, and not all that are needed */
function storesOf({ kafka, archive, redis, etcd, indexDir }: RestoreFlags): Stores | undefined {
  if ([kafka, archive, redis, etcd, indexDir].every((flag) => flag === undefined)) return undefined;
  if (kafka === undefined || archive === undefined || redis === undefined || etcd === undefined) {
    throw new CommandError('--kafka, --archive, --redis and --etcd go together.', EXIT.usage);
  }
  const stores = { kafka: listOf(kafka), redis: listOf(redis), indexDirs: listOf(indexDir) };
  if (stores.redis.every((url) => URL.canParse(url))) return { ...stores, archive, etcd };
  throw new CommandError('--redis is URLs, as redis://crdt-0:6379, with commas.', EXIT.usage);
}

async function check(
  reader: BackupReader,
  from: string,
  output: Output,
  found: FoundLedger | undefined,
): Promise<void> {
  await withStages(async (stages) => {
    stages.begin('reading', sizeOf(reader.manifest));
    await checkBackup(reader, (size) => stages.add(size));
  });
  const ledger = found && { place: found.place, erasures: found.ledger.entries.size };
  output.document({ place: from, ok: true, ...summaryOf(reader.manifest), ledger }, () => {
    output.line('Every part is as it was written:');
    showSummary(output, from, reader.manifest);
    if (ledger !== undefined) output.line(`So is the erasure ledger ${ledger.place}.`);
  });
}

function into(dataDir: string, how: Restoring): Promise<void> {
  const where = ` into ${dataDir}`;
  const next = `MEMPLANE_DATA_DIR=${dataDir} memplane run, then memplane verify`;
  return restoring(how, { document: { dataDir }, where, next }, (options) =>
    restore({ ...options, dataDir, logId: randomUUID() }),
  );
}

function intoStores(stores: Stores, how: Restoring): Promise<void> {
  const next = 'start the services, then memplane verify';
  return restoring(how, { document: {}, where: '', next }, (options) =>
    restoreStores({ ...options, stores }),
  );
}

interface Restoring {
  readonly backup: BackupReader;
  readonly untilMs: number | undefined;
  readonly output: Output;
  readonly found: FoundLedger | undefined;
  readonly withoutLedger: boolean;
}

/** Restores, and tells of it. */
async function restoring(
  { backup, untilMs, output, found, withoutLedger }: Restoring,
  words: { readonly document: object; readonly where: string; readonly next: string },
  work: (options: RestoreOptions) => Promise<RestoreReport>,
): Promise<void> {
  const startedAt = performance.now();
  const ledger = found?.ledger.entries.values();
  const report = await withStages((stages) =>
    work({ backup, untilMs, ledger, env: process.env, now: Date.now, stages }),
  );
  const tookMs = Math.round(performance.now() - startedAt);
  output.document({ ...words.document, ...report, ledger: found?.place, tookMs }, () => {
    output.line(`Restored${words.where} in ${seconds(tookMs)}: ${contentsOf(report)}`);
    for (const line of consequencesOf(report, untilMs)) output.line(line);
    output.line(erasedSince(report, found, withoutLedger));
    output.line(`Next: ${words.next}`);
  });
}

function contentsOf({ events, snapshots, names, records, vectors }: RestoreReport): string {
  return (
    `${count(events, 'event')}, ${count(snapshots, 'shard')} by snapshot, ` +
    `${count(names, 'name')} of counters, sets and registers, ` +
    `${count(records, 'record')} of leases and strong entities, ` +
    `${count(vectors, 'computed vector')}.`
  );
}

function consequencesOf(
  { logId, fromLogId, records }: RestoreReport,
  untilMs: number | undefined,
): string[] {
  return [
    `The log is a new one (${logId}, from ${fromLogId}): offsets and event ids are the same, but`,
    'tokens and cursors of before are refused with 409 token_of_another_log: agents begin without.',
    ...(records === 0
      ? []
      : ['Leases are free, and fencing tokens of before are stale: holders take theirs anew.']),
    ...(untilMs === undefined
      ? []
      : ['Counters, sets and registers have no history: they are those of the backup.']),
  ];
}

function erasedSince(
  { erasures }: RestoreReport,
  found: FoundLedger | undefined,
  withoutLedger: boolean,
): string {
  if (withoutLedger) {
    return (
      'WITHOUT AN ERASURE LEDGER: what was erased after the backup was made may be there again. ' +
      'Erase it anew before the plane is used.'
    );
  }
  if (found === undefined) {
    return 'No erasure ledger: nothing had been erased when the backup was made. Is there a newer one?';
  }
  const what = erasures === 0 ? 'no erasure' : count(erasures, 'erasure');
  const end = erasures === 0 ? '.' : ': what they erased was left out.';
  return `The erasure ledger ${found.place} has ${what} newer than what is restored${end}`;
}

function summaryOf(manifest: Manifest) {
  const { cut, parts, tool, createdAt, sha256, views } = manifest;
  const entities = views.shards.reduce((sum, shard) => sum + shard.entities, 0);
  const events = cut.offsets.reduce((sum, end, p) => sum + end + 1 - (cut.starts[p] ?? 0), 0);
  return {
    ...{ createdAt, version: tool.version, cut, events, entities },
    ...{ parts: parts.length, sizeBytes: sizeOf(manifest), viewsDigest: views.digest, sha256 },
  };
}

function showSummary(output: Output, place: string, manifest: Manifest): void {
  const { createdAt, events, entities, parts, sizeBytes, sha256 } = summaryOf(manifest);
  output.table(
    ['place', 'made', 'events', 'entities', 'parts', 'size', 'manifest'],
    [[place, createdAt, events, entities, parts, bytes(sizeBytes), sha256.slice(0, 16)]],
  );
}

function sizeOf({ parts }: Manifest): number {
  return parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/;

/** @throws CommandError (usage) */
function timeOf(text: string): number {
  const time = TIME.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isNaN(time)) return time;
  throw new CommandError('--until is a time as 2026-11-26T12:00:00Z (RFC 3339).', EXIT.usage);
}

async function withStages<T>(work: (stages: Stages) => Promise<T>): Promise<T> {
  const stages = new Stages();
  try {
    return await work(stages);
  } finally {
    stages.stop();
  }
}
