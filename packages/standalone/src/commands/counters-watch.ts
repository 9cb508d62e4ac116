import { setTimeout as sleep } from 'node:timers/promises';
import type { Memplane } from '@memplane/client';
import type { Command } from 'commander';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import { connect, numberOption } from './connection.ts';
import { type CounterChange, CounterChanges } from './counter-changes.ts';

/** Named counters are read one by one, and all of them are remembered. */
const NAMED_MAX = 100;
const COUNTERS_MAX = 100_000;

export function addCountersWatch(counters: Command): void {
  counters
    .command('watch [names...]')
    .description('Follow counters, or all of them: one line a change; Ctrl-C ends it')
    .option('--interval <seconds>', 'between two readings', '1')
    .addHelpText('after', '\nExample:\n  memplane counters watch tasks_processed --interval 0.5\n')
    .action(async (names: string[], options: { interval: string }, command: Command) => {
      if (names.length > NAMED_MAX) {
        throw new CommandError(`Name at most ${NAMED_MAX}, or none to watch all.`, EXIT.usage);
      }
      const intervalMs = numberOption('--interval', options.interval, 0.01, 86_400) * 1000;
      const { client, output } = connect(command);
      const ending = new AbortController();
      process.once('SIGINT', () => ending.abort());
      const { signal } = ending;
      const changes = new CounterChanges();
      try {
        for (;;) {
          const values = await read(client, names, signal);
          for (const change of changes.next(values, new Date().toISOString())) {
            output.record(change, () => output.line(lineOf(change)));
          }
          await output.drained();
          await sleep(intervalMs, undefined, { signal });
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    });
}

async function read(
  client: Memplane,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, number>> {
  if (names.length > 0) {
    const counters = [...new Set(names)].map((name) => client.counter(name));
    const values = await Promise.all(
      counters.map(async (counter) => [counter.name, await counter.get({ signal })] as const),
    );
    return new Map(values);
  }
  const values = new Map<string, number>();
  for await (const { name, value } of client.counters({ signal })) {
    values.set(name, value);
    if (values.size <= COUNTERS_MAX) continue;
    throw new CommandError(`There are more than ${COUNTERS_MAX} counters: name some.`, EXIT.usage);
  }
  return values;
}

function lineOf({ time, name, value, change }: CounterChange): string {
  const sign = change !== undefined && change > 0 ? '+' : '';
  return [time, name, value, change === undefined ? '' : `${sign}${change}`].join('\t');
}
