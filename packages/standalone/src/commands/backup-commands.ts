import type { Command } from 'commander';

const PLACE_HELP = `
A place is a folder, or s3://BUCKET/PREFIX with these settings:
  MEMPLANE_S3_ENDPOINT                       where the storage answers; AWS's by default
  MEMPLANE_S3_REGION                         us-east-1 by default
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY   its keys
`;

/** Backing up a plane, and making a new one of a backup. */
export function addBackupCommands(program: Command): void {
  program
    .command('backup')
    .description('Back up the running plane, at one cut, into a place that is empty')
    .requiredOption('--to <place>', 'a folder, or s3://BUCKET/PREFIX')
    .addHelpText('after', PLACE_HELP)
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
    .option('--check', 'read all of the backup, restore nothing', false)
    .addHelpText('after', PLACE_HELP)
    .addHelpText(
      'after',
      '\nExample:\n  memplane restore --from /backups/monday --data-dir /var/lib/memplane-new\n' +
        '  MEMPLANE_DATA_DIR=/var/lib/memplane-new memplane run\n',
    )
    .action(async (options: RestoreFlags, command: Command) => {
      const { runRestore } = await import('../backup/run.ts');
      await runRestore(options, command);
    });
}

export interface BackupFlags {
  readonly to: string;
}

export interface RestoreFlags {
  readonly from: string;
  readonly dataDir?: string;
  readonly until?: string;
  readonly check: boolean;
}
