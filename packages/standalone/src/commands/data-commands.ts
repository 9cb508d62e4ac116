import type { Command } from 'commander';
import { importFile } from '../import/import-file.ts';
import { brief } from '../output/text.ts';
import { connect, wholeOption } from './connection.ts';
import { addCountersWatch } from './counters-watch.ts';

/** The commands that write. */
export function addDataCommands(program: Command): void {
  program
    .command('import <file>')
    .description('Append the events of a JSON Lines file; safe to repeat, goes on where it was cut')
    .option('--connections <count>', 'batches under way at once', '4')
    .option('--batch <count>', 'events in a batch', '250')
    .option('--skip-bad', 'go on after lines that are refused', false)
    .option('--restart', 'begin at the first line again', false)
    .addHelpText('after', '\nExample:\n  memplane import events.jsonl\n')
    .action(
      async (
        file: string,
        options: { connections: string; batch: string; skipBad: boolean; restart: boolean },
        command: Command,
      ) => {
        const { client, output } = connect(command, { retries_max: 30 });
        const result = await importFile(client, {
          file,
          lanes: wholeOption('--connections', options.connections, 1, 64),
          batch_events_max: wholeOption('--batch', options.batch, 1, 1000),
          skipBad: options.skipBad,
          restart: options.restart,
        });
        output.document(result, () => {
          const { appended, duplicates, refused, lines } = result;
          output.table(
            ['lines', 'appended', 'duplicates', 'refused'],
            [[lines, appended, duplicates, refused]],
          );
        });
      },
    );
  addCounters(program);
}

function addCounters(program: Command): void {
  const counters = program.command('counters').description('Counters that any agent may raise');
  counters
    .command('list', { isDefault: true })
    .description('All counters and their values')
    .addHelpText('after', '\nExample:\n  memplane counters list\n')
    .action(async (_options: unknown, command: Command) => {
      const { client, output } = connect(command);
      const found = await Array.fromAsync(client.counters());
      output.document(found, () => {
        output.table(
          ['counter', 'value'],
          found.map((counter) => [counter.name, counter.value]),
        );
      });
    });
  counters
    .command('get <name>')
    .description('The value of a counter')
    .addHelpText('after', '\nExample:\n  memplane counters get tasks_processed\n')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, output } = connect(command);
      const value = await client.counter(name).get();
      output.document({ name, value }, () => output.line(brief(value)));
    });
  counters
    .command('incr <name> [by]')
    .description('Raise a counter')
    .addHelpText('after', '\nExample:\n  memplane counters incr tasks_processed 2\n')
    .action(async (name: string, by: string | undefined, _options: unknown, command: Command) => {
      const { client, output } = connect(command);
      const max = Number.MAX_SAFE_INTEGER;
      const value = await client.counter(name).increment(wholeOption('by', by ?? '1', -max, max));
      output.document({ name, value }, () => output.line(brief(value)));
    });
  addCountersWatch(counters);
}
