import { PARTITIONS_MAX } from '@memplane/contracts';
import type { Command } from 'commander';
import { growPartitions } from '../partitions/grow.ts';
import { connect, numberOption, planeHttp, wholeOption } from './connection.ts';

const WAIT_SECONDS = 600;

/** What is done with the partitions of the log. */
export function addPartitionsCommand(program: Command): void {
  const partitions = program
    .command('partitions')
    .description('The partitions of the log, which say how far a plane spreads')
    .addHelpText('after', '\nExample:\n  memplane partitions grow --to 24\n');
  partitions
    .command('grow')
    .description(
      'Double the partitions while the plane is used; after a crash, repeat it to see it through',
    )
    .requiredOption('--to <count>', 'how many there are to be: twice as many as there are')
    .option('--wait <seconds>', 'how long views and index may take to follow', `${WAIT_SECONDS}`)
    .addHelpText(
      'after',
      '\nThere is no way back but the restoration of a backup of before: back up first.\n' +
        '\nExample:\n  memplane partitions grow --to 24\n',
    )
    .action(async (options: { to: string; wait: string }, command: Command) => {
      const { output } = connect(command);
      const to = wholeOption('--to', options.to, 1, PARTITIONS_MAX);
      const waitMs = numberOption('--wait', options.wait, 0, 86_400) * 1000;
      const { Stages } = await import('../output/stages.ts');
      const stages = new Stages();
      const report = await growPartitions({
        plane: planeHttp(command),
        to,
        waitMs,
        stages,
      }).finally(() => stages.stop());
      output.document(report, () => {
        const { partitions: count, epoch, logMs, tookMs } = report;
        output.line(`the log has ${count} partitions, in epoch ${epoch} (${logMs} ms)`);
        output.line(`views and index have followed (${tookMs} ms in all)`);
      });
    });
}
