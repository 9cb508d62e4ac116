import type { Command } from 'commander';

const EXIT_CODES = `
Exit codes of doctor: 0 all is fine, 1 something was found, 2 something could not be checked.
Each finding has a code; docs/operations.md says more on each.
`;

export interface DoctorFlags {
  readonly sample: string;
  readonly lag: string;
  readonly dataDir?: string;
}

/** What is wrong with a running plane, and what to do about it. */
export function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('Check the running plane from outside, and say what to do about what is found')
    .option('--sample <count>', 'entities whose views are compared with their history', '5')
    .option('--lag <events>', 'how far views and index may be behind', '1000')
    .option('--data-dir <folder>', 'where the plane keeps its data, if on this machine')
    .addHelpText('after', EXIT_CODES)
    .addHelpText('after', '\nExample:\n  memplane doctor --sample 20\n')
    .action(async (options: DoctorFlags, command: Command) => {
      const { runDoctor } = await import('../doctor/run.ts');
      await runDoctor(options, command);
    });
}
