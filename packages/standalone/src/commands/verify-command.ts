import type { Command } from 'commander';

const EXIT_CODES = `
Exit codes of verify: 0 all is equal, 1 something differs, 2 something could not be compared.
`;

export interface VerifyFlags {
  readonly backup?: string;
}

/** Whether all that is derived is what it is derived from. */
export function addVerifyCommand(program: Command): void {
  program
    .command('verify')
    .description(
      'Compare views, index and values with the log, by digests, and say where they differ',
    )
    .option('--backup <place>', 'compare the views with those of a backup, too')
    .addHelpText('after', EXIT_CODES)
    .addHelpText('after', '\nExample:\n  memplane verify --backup /backups/monday\n')
    .action(async (options: VerifyFlags, command: Command) => {
      const { runVerify } = await import('../verify/run.ts');
      await runVerify(options, command);
    });
}
