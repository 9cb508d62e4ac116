import { PLANE_VERSION } from '@memplane/contracts';
import { Command, CommanderError } from 'commander';
import { addAuditCommand } from './commands/audit-command.ts';
import { addBackupCommands } from './commands/backup-commands.ts';
import { DEFAULT_URL } from './commands/connection.ts';
import { addDataCommands } from './commands/data-commands.ts';
import { addDeadLetterCommands } from './commands/dead-letter-commands.ts';
import { addDemoCommand } from './commands/demo-command.ts';
import { addDoctorCommand } from './commands/doctor-command.ts';
import { addErasureCommands } from './commands/erasure-commands.ts';
import { addPartitionsCommand } from './commands/partitions-command.ts';
import { addPlaneCommands } from './commands/plane-commands.ts';
import { addQuotasCommand } from './commands/quotas-command.ts';
import { addReadCommands } from './commands/read-commands.ts';
import { addReplicaCommands } from './commands/replica-commands.ts';
import { addReplicasCommand } from './commands/replicas-command.ts';
import { addVerifyCommand } from './commands/verify-command.ts';
import { addZoneCommands } from './commands/zone-commands.ts';
import { EXIT, exitCodeOf, wordsOf } from './output/exit-codes.ts';

const EXIT_CODES = `
Exit codes:
  0  it worked                        3  there is no such thing
  1  it failed, and would again       4  no plane answers in time: try again later
  2  the command line is wrong        5  the plane refused it (bad input, a conflict)

Environment:
  MEMPLANE_URL     where the plane's event-ingest answers (${DEFAULT_URL});
                   the other services are on the three ports after it
  MEMPLANE_TOKEN   the plane's token, where it has one
`;

/** How long a command that failed may take to end by itself. */
const EXIT_TIMEOUT_MS = 2_000;

/** Runs the command; sets the exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('memplane')
    .description('A memory plane for fleets of AI agents: run one, and look into it.')
    .version(PLANE_VERSION)
    .option('--url <url>', 'where the plane answers', process.env['MEMPLANE_URL'] ?? DEFAULT_URL)
    .option('--json', 'one JSON document, or one line for each record', false)
    .option('--timeout <seconds>', 'the longest that a call may take', '15')
    .addHelpText('after', EXIT_CODES)
    .showHelpAfterError('(memplane --help says more)')
    .exitOverride();
  addPlaneCommands(program);
  addDemoCommand(program);
  addDataCommands(program);
  addReadCommands(program);
  addDeadLetterCommands(program);
  addReplicaCommands(program);
  addReplicasCommand(program);
  addDoctorCommand(program);
  addVerifyCommand(program);
  addBackupCommands(program);
  addPartitionsCommand(program);
  addZoneCommands(program);
  addAuditCommand(program);
  addErasureCommands(program);
  addQuotasCommand(program);
  allowCommonOptionsAnywhere(program);
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
      return;
    }
    const { url, json } = program.opts<{ url: string; json: boolean }>();
    const words = wordsOf(error, url);
    console.error(
      json ? JSON.stringify({ error: words, ...details(error) }) : `memplane: ${words}`,
    );
    process.exitCode = exitCodeOf(error);
    // Whatever still holds the process has no business any more.
    setTimeout(() => process.exit(), EXIT_TIMEOUT_MS).unref();
  }
}

/** `memplane get user/42 --json` is the same as `memplane --json get user/42`. */
function allowCommonOptionsAnywhere(program: Command): void {
  for (const command of [...program.commands, ...program.commands.flatMap((c) => c.commands)]) {
    command.exitOverride();
    if (command.commands.length > 0) continue;
    command.option('--json', 'one JSON document, or one line for each record');
    command.option('--url <url>', 'where the plane answers');
    command.option('--timeout <seconds>', 'the longest that a call may take');
    command.hook('preAction', (_this, action) => {
      for (const name of ['json', 'url', 'timeout']) {
        const value: unknown = action.getOptionValue(name);
        if (value !== undefined) program.setOptionValue(name, value);
      }
    });
  }
}

function details(error: unknown): Record<string, unknown> {
  if (typeof error !== 'object' || error === null) return {};
  const { code, status, field } = error as Record<string, unknown>;
  return { code, status, field };
}
