import type { Command } from 'commander';
import { inWords } from '../operate/replica-set.ts';
import { brief } from '../output/text.ts';
import { connect } from './connection.ts';

/** What operators ask about the replicas of counters, sets and registers. */
export function addReplicaCommands(program: Command): void {
  program
    .command('members')
    .description('The replicas of counters, sets and registers, as one of them sees them')
    .addHelpText('after', '\nExample:\n  memplane members\n')
    .action(async (_options: unknown, command: Command) => {
      const { client, output } = connect(command);
      const answer = await client.members();
      output.document(answer, () => {
        output.table(
          ['replica', 'state', 'in set', 'heard', 'view', 'address', 'incarnation'],
          answer.members.map((member) => [
            member.self ? `${member.replica} (asked)` : member.replica,
            member.state,
            member.replicaSet,
            member.heardMs === undefined ? '' : `${member.heardMs} ms ago`,
            member.viewVersion,
            member.address,
            member.incarnation,
          ]),
        );
        if (answer.replicaSet) output.line(inWords(answer.replicaSet));
      });
    });
  program
    .command('alerts')
    .description('What an operator should look at, newest first')
    .addHelpText('after', '\nExample:\n  memplane alerts\n')
    .action(async (_options: unknown, command: Command) => {
      const { client, output } = connect(command);
      const alerts = await client.alerts();
      output.document(alerts, () => {
        output.table(
          ['since', 'cleared', 'code', 'about', 'count', 'detail'],
          alerts.map(({ time, clearedAt, code, subject, count, detail }) => [
            time,
            clearedAt,
            code,
            brief(subject),
            count,
            brief(detail, 400),
          ]),
        );
      });
    });
}
