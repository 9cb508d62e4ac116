import type { ReplicaSet } from '@memplane/client';
import type { Command } from 'commander';
import {
  addToSet,
  inWords,
  removeFromSet,
  replaceInSet,
  type SetChangeOptions,
} from '../operate/replica-set.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import { connect, numberOption, planeHttp } from './connection.ts';

const WAIT_SECONDS = 120;

/** What operators do with the replica set, of which quorums are majorities. */
export function addReplicasCommand(program: Command): void {
  const replicas = program
    .command('replicas')
    .description('Which replicas count for quorums; `memplane members` shows it')
    .addHelpText('after', '\nMEMPLANE_OPERATOR_TOKEN is the token of an operator.\n');
  withWait(replicas.command('add'))
    .argument('<replica>', 'id of a replica that runs')
    .description('Count one more')
    .addHelpText('after', '\nExample:\n  memplane replicas add crdt-sync-3\n')
    .action((id: string, _options: unknown, command: Command) =>
      show(command, (options) => addToSet(id, options)),
    );
  withWait(replicas.command('remove'))
    .argument('<replica>', 'id of a replica, which may run or not')
    .description('Count one no more; it goes on as a replica')
    .addHelpText('after', '\nExample:\n  memplane replicas remove crdt-sync-3\n')
    .action((id: string, _options: unknown, command: Command) =>
      show(command, (options) => removeFromSet(id, options)),
    );
  withWait(replicas.command('replace'))
    .argument('<replica>', 'id of a replica, which may run or not')
    .argument('<by>', 'id of a replica that runs')
    .description('Count another one in place of one: two changes; after a break, repeat it')
    .addHelpText('after', '\nExample:\n  memplane replicas replace crdt-sync-1 crdt-sync-3\n')
    .action((id: string, by: string, _options: unknown, command: Command) =>
      show(command, (options) => replaceInSet(id, by, options)),
    );
}

function withWait(command: Command): Command {
  return command.option(
    '--wait <seconds>',
    'how long a change may take to settle',
    `${WAIT_SECONDS}`,
  );
}

async function show(
  command: Command,
  change: (options: SetChangeOptions) => Promise<ReplicaSet>,
): Promise<void> {
  const { output } = connect(command);
  const operatorToken = process.env['MEMPLANE_OPERATOR_TOKEN'];
  if (!operatorToken) {
    throw new CommandError('Set MEMPLANE_OPERATOR_TOKEN to that of the replicas.', EXIT.usage);
  }
  const { wait } = command.opts<{ wait: string }>();
  const waitMs = numberOption('--wait', wait, 0, 86_400) * 1000;
  const set = await change({ plane: planeHttp(command), operatorToken, waitMs });
  output.document(set, () => output.line(inWords(set)));
}
