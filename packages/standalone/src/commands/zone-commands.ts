import type { Command } from 'commander';
import { connect } from './connection.ts';

const example = (text: string) => `\nExample:\n  memplane ${text}\n`;

/** What tells of consistency zones. */
export function addZoneCommands(program: Command): void {
  const zones = program
    .command('zones')
    .description('Which entities are strong: the file that MEMPLANE_ZONES names')
    .addHelpText('after', example('zones explain user/42'));
  zones
    .command('explain <entity>')
    .description('The zone of an entity as it is in force, and the rule that says so')
    .addHelpText('after', example('zones explain session/9c1'))
    .action(async (entity: string, _options: unknown, command: Command) => {
      const { client, output } = connect(command);
      const answer = await client.zone(entity);
      output.document(answer, () => {
        const { zone, rule, version, changesTo, waitsFor, file } = answer;
        const why =
          rule === undefined ? 'no rule matches it' : `the first rule that matches: ${rule}`;
        output.line(`${entity} is ${zone}: ${why} (table ${version})`);
        if (changesTo !== undefined) output.line(`it is changing to ${changesTo}`);
        if (waitsFor?.length) output.line(`the change waits for ${waitsFor.join(', ')}`);
        if (file?.problem !== undefined) output.line(`${file.path} is wrong: ${file.problem}`);
      });
    });
}
