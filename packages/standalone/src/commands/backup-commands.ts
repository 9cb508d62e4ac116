import type { Command } from 'commander';

/** What the help of commands says of places. */
export const PLACE_HELP = `
A place is a folder, or s3://BUCKET/PREFIX with these settings:
  MEMPLANE_S3_ENDPOINT                       where the storage answers; AWS's by default
  MEMPLANE_S3_REGION                         us-east-1 by default
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY   its keys
`;

export const LEDGER_HELP = `
An erasure ledger is a place, too: a folder or s3://BUCKET/PREFIX, apart from the backups of its
plane; by default memplane-erasures beside them. In another storage than theirs:
  MEMPLANE_LEDGER_S3_ENDPOINT, MEMPLANE_LEDGER_S3_REGION,
  MEMPLANE_LEDGER_ACCESS_KEY_ID, MEMPLANE_LEDGER_SECRET_ACCESS_KEY
`;

const STORES_HELP = `
Settings of the new stores of a distributed plane:
  MEMPLANE_REDIS_PASSWORD                    of all of its Redis
  MEMPLANE_ARCHIVE_S3_ENDPOINT, MEMPLANE_ARCHIVE_S3_REGION,
  MEMPLANE_ARCHIVE_ACCESS_KEY_ID, MEMPLANE_ARCHIVE_SECRET_ACCESS_KEY
                                             of its archive, where they differ from the backup's
`;

const INSTANCES_HELP = `
Of a distributed plane, where the instances of its services answer, with commas:
  MEMPLANE_URL                               event-ingest
  MEMPLANE_MATERIALIZER_URL, MEMPLANE_CRDT_SYNC_URL, MEMPLANE_VECTOR_INDEX_URL
`;

/** Backing up a plane, and making a new one of a backup. */
export function addBackupCommands(program: Command): void {
  program
    .command('backup')
    .description('Back up the running plane, at one cut, into a place that is empty')
    .requiredOption('--to <place>', 'a folder, or s3://BUCKET/PREFIX')
    .option('--ledger <place>', 'the erasure ledger that is brought up to date first')
    .addHelpText('after', PLACE_HELP)
    .addHelpText('after', LEDGER_HELP)
    .addHelpText('after', INSTANCES_HELP)
    .addHelpText('after', '\nExample:\n  memplane backup --to /backups/monday\n')
    .action(async (options: BackupFlags, command: Command) => {
      const { runBackup } = await import('../backup/run.ts');
      await runBackup(options, command);
    });
  program
    .command('restore')
    .description('Make the data folder of a new plane out of a backup; or check a backup')
    .requiredOption('--from <place>', 'a folder, or s3://BUCKET/PREFIX')
    .option('--data-dir <folder>', 'where the new plane keeps its data; empty, or not there yet')
    .option('--until <time>', 'no event with a later stamp, as 2026-11-26T12:00:00Z')
    .option('--kafka <brokers>', 'of a distributed plane instead: its topic of events is empty')
    .option('--archive <place>', "its archive, the materializer's blob store; empty")
    .option('--redis <urls>', 'those of its replicas of crdt-sync; without values')
    .option('--etcd <members>', 'that of its component strong; without records of event-ingest')
    .option(
      '--index-dir <folders>',
      'of its instances of vector-index, if they are reached from here',
    )
    .option('--check', 'read all of the backup, restore nothing', false)
    .option('--ledger <place>', 'the newest erasure ledger: what was erased since stays away')
    .option('--without-ledger', 'restore what was erased since the backup, too', false)
    .addHelpText('after', PLACE_HELP)
    .addHelpText('after', LEDGER_HELP)
    .addHelpText('after', STORES_HELP)
    .addHelpText(
      'after',
      '\nExample:\n  memplane restore --from /backups/monday --data-dir /var/lib/memplane-new\n' +
        '  MEMPLANE_DATA_DIR=/var/lib/memplane-new memplane run\n' +
        '  memplane restore --from s3://backups/monday --kafka kafka:9092 --archive s3://memplane \\\n' +
        '    --redis redis://crdt-0:6379,redis://crdt-1:6379 --etcd etcd-0:2379,etcd-1:2379\n',
    )
    .action(async (options: RestoreFlags, command: Command) => {
      const { runRestore } = await import('../backup/run.ts');
      await runRestore(options, command);
    });
}

export interface BackupFlags {
  readonly to: string;
  readonly ledger?: string;
}

export interface RestoreFlags {
  readonly from: string;
  readonly dataDir?: string;
  readonly until?: string;
  readonly kafka?: string;
  readonly archive?: string;
  readonly redis?: string;
  readonly etcd?: string;
  readonly indexDir?: string;
  readonly check: boolean;
  readonly ledger?: string;
  readonly withoutLedger: boolean;
}
