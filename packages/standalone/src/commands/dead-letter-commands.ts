import type { DeadLetter, Memplane, NewEvent, Redrive, RedriveResult } from '@memplane/client';
import type { Command } from 'commander';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import { brief } from '../output/text.ts';
import { connect, jsonOption, wholeOption } from './connection.ts';

const REDRIVES_MAX = 100;

const example = (text: string) => `\nExample:\n  memplane ${text}\n`;

/** What operators do about messages that could not be appended. */
export function addDeadLetterCommands(program: Command): void {
  const deadLetters = program
    .command('dead-letters')
    .description('Messages of agent-inbox that could never be appended, and why')
    .addHelpText('after', example('dead-letters redrive --all'));
  deadLetters
    .command('list', { isDefault: true })
    .description('List them, oldest first')
    .option('--limit <count>', 'dead letters at most', '1000')
    .addHelpText('after', example('dead-letters --json'))
    .action(async (options: { limit: string }, command: Command) => {
      const { client, output } = connect(command);
      const limit = wholeOption('--limit', options.limit, 1, 1_000_000);
      const rows: DeadLetter[] = [];
      for await (const letter of all(client, limit)) {
        if (output.isJson) output.record(letter, () => {});
        else rows.push(letter);
        await output.drained();
      }
      if (output.isJson) return;
      output.table(
        ['letter', 'dead at', 'key', 'code', 'reason', 'message', 're-driven at'],
        rows.map((letter) => [
          `${letter.partition}/${letter.offset}`,
          letter.deadAt,
          letter.key ?? '',
          letter.reason.code,
          letter.reason.detail,
          brief(letter.text ?? letter.base64),
          letter.redrivenAt ?? '',
        ]),
      );
    });
  deadLetters
    .command('redrive [letters...]')
    .description('Append them after all, each at a new position; repeating it is harmless')
    .option('--all', 'all that were not re-driven yet')
    .option('--event <json>', 'in the short form, in place of what the one letter holds')
    .addHelpText('after', example('dead-letters redrive 0/17 0/18'))
    .action(async (letters: string[], options: RedriveOptions, command: Command) => {
      if (letters.length > 0 === (options.all === true)) {
        throw new CommandError('Name dead letters (as 0/17), or give --all.', EXIT.usage);
      }
      const { client, output } = connect(command);
      const places = options.all ? await waiting(client) : named(letters, options.event);
      const results: RedriveResult[] = [];
      for (let at = 0; at < places.length; at += REDRIVES_MAX) {
        const done = await client.deadLetters.redrive(places.slice(at, at + REDRIVES_MAX));
        for (const result of done) {
          if (output.isJson) output.record(result, () => {});
          else results.push(result);
        }
        if (done.some(({ outcome }) => outcome === 'refused')) process.exitCode = EXIT.refused;
      }
      if (output.isJson) return;
      output.table(
        ['letter', 'outcome', 'reason'],
        results.map(({ partition, offset, outcome, reason }) => [
          `${partition}/${offset}`,
          outcome,
          reason === undefined ? '' : `${reason.code}: ${reason.detail}`,
        ]),
      );
    });
}

interface RedriveOptions {
  readonly all?: boolean;
  readonly event?: string;
}

function named(letters: readonly string[], eventText: string | undefined): Redrive[] {
  const places = letters.map(placeOf);
  const [only] = places;
  if (eventText === undefined || only === undefined) return places;
  if (places.length > 1) throw new CommandError('--event is for one dead letter.', EXIT.usage);
  return [{ ...only, event: jsonOption('--event', eventText) as unknown as NewEvent }];
}

async function* all(client: Memplane, limit: number): AsyncGenerator<DeadLetter> {
  let left = limit;
  let cursor: string | undefined;
  do {
    const page = await client.deadLetters.list({
      limit: Math.min(left, 100),
      ...(cursor === undefined ? {} : { cursor }),
    });
    yield* page.deadLetters;
    left -= page.deadLetters.length;
    cursor = page.next;
  } while (cursor !== undefined && left > 0);
}

async function waiting(client: Memplane): Promise<Redrive[]> {
  const places: Redrive[] = [];
  for await (const { partition, offset, redrivenAt } of all(client, Number.MAX_SAFE_INTEGER)) {
    if (redrivenAt === undefined) places.push({ partition, offset });
  }
  return places;
}

function placeOf(text: string): { partition: number; offset: number } {
  const match = /^(\d{1,4})\/(\d{1,15})$/.exec(text);
  if (match) return { partition: Number(match[1]), offset: Number(match[2]) };
  throw new CommandError(`${text} is no dead letter: partition/offset, as 0/17.`, EXIT.usage);
}
