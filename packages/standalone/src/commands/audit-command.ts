import type { AuditPage, AuditRecord } from '@memplane/contracts';
import type { Command } from 'commander';
import { Output } from '../output/output.ts';
import { brief } from '../output/text.ts';
import { planeHttp, wholeOption } from './connection.ts';

interface AuditOptions {
  readonly from?: string;
  readonly to?: string;
  readonly subject?: string;
  readonly operation?: string;
  readonly outcome?: string;
  readonly limit: string;
  readonly follow?: boolean;
}

const PAGE_RECORDS = 500;
/** Of a page that is empty, while following; less than a call's own time-out. */
const FOLLOW_WAIT_MS = 10_000;
const HEAD = ['time', 'subject', 'service', 'operation', 'target', 'outcome', 'count', 'trace'];

const example = (text: string) => `\nExample:\n  memplane ${text}\n`;

/** What auditors read. */
export function addAuditCommand(program: Command): void {
  program
    .command('audit')
    .description(
      "Who asked for what, and was refused what: of the token's own tenant, oldest first",
    )
    .option('--from <time>', 'RFC 3339; default: 24 hours ago')
    .option('--to <time>', 'RFC 3339, exclusive; default: now')
    .option('--subject <subject>', 'of one caller, e.g. token:acme-agents')
    .option('--operation <id>', 'of one operation, e.g. getEntity')
    .option('--outcome <code>', 'with one outcome, e.g. forbidden')
    .option('--limit <count>', 'records at most', '1000')
    .option('--follow', 'go on as they come', false)
    .addHelpText('after', example('audit --outcome forbidden --json'))
    .action(audit);
}

async function audit(options: AuditOptions, command: Command): Promise<void> {
  const output = new Output(command.optsWithGlobals<{ json: boolean }>());
  const limit = options.follow
    ? Number.POSITIVE_INFINITY
    : wholeOption('--limit', options.limit, 1, 1_000_000);
  const rows: AuditRecord[] = [];
  for await (const record of records(options, command, limit)) {
    if (output.isJson) output.record(record, () => {});
    else if (options.follow) output.line(cellsOf(record).join('\t'));
    else rows.push(record);
    await output.drained();
  }
  if (!output.isJson && !options.follow) output.table(HEAD, rows.map(cellsOf));
}

function cellsOf(record: AuditRecord): string[] {
  const { time, subject, service, operation, target, outcome, count, traceId } = record;
  const who = record.address === undefined ? subject : `${subject} at ${record.address}`;
  return [time, who, service, operation, target ?? '', outcome, String(count), traceId ?? ''].map(
    (cell) => brief(cell),
  );
}

async function* records(
  options: AuditOptions,
  command: Command,
  limit: number,
): AsyncGenerator<AuditRecord> {
  const http = planeHttp(command);
  const { from, to, subject, operation, outcome, follow } = options;
  // What comes while it is read would have no end.
  const end = follow ? to : (to ?? new Date().toISOString());
  const asked = { from, to: end, subject, operation, outcome };
  let left = limit;
  let cursor: string | undefined;
  do {
    const query = new URLSearchParams({ limit: String(Math.min(left, PAGE_RECORDS)) });
    for (const [name, value] of Object.entries(asked)) if (value) query.set(name, value);
    if (cursor !== undefined) query.set('cursor', cursor);
    if (follow) query.set('waitMs', String(FOLLOW_WAIT_MS));
    const page = await http.json<AuditPage>('materializer', `/v1/audit?${query}`);
    yield* page.records;
    left -= page.records.length;
    // Without records, and today's day not over, nothing more is there now.
    const isAtEnd = !follow && page.records.length === 0 && page.next === cursor;
    cursor = isAtEnd ? undefined : page.next;
  } while (cursor !== undefined && left > 0);
}
