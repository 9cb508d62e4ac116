import { type Erasure, isEntity } from '@memplane/contracts';
import type { Command } from 'commander';
import type { PlaneHttp } from '../operate/plane-http.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import { LEDGER_HELP, PLACE_HELP } from './backup-commands.ts';
import { connect, planeHttp, wholeOption } from './connection.ts';

const example = (text: string) => `\nExample:\n  memplane ${text}\n`;
const PAGE = 100;
const POLL_MS = 500;

type Stores = Erasure['stores'];
type Verification = Pick<Erasure, 'id' | 'entity' | 'stores'> & { readonly isClear: boolean };

/** What makes the plane forget an entity for good, and shows that it has. */
export function addErasureCommands(program: Command): void {
  const erasures = program
    .command('erasures')
    .description('Entities that were erased, with their receipts')
    .addHelpText('after', example('erasures start user/42 --reason "asked for on 3 May" --wait'));
  addStart(erasures);
  addList(erasures);
  addVerify(erasures);
  addHolds(erasures);
  addExport(erasures);
}

function addStart(erasures: Command): void {
  erasures
    .command('start <entity>')
    .description('Erase an entity: everything that was said of it so far, for good')
    .option('--reason <text>', 'kept in the receipt')
    .option('--wait', 'until every store is cleared')
    .addHelpText('after', example('erasures start user/42 --wait'))
    .action(async (entity: string, options: StartOptions, command: Command) => {
      checkEntity(entity);
      const { output } = connect(command);
      const http = planeHttp(command);
      const { reason } = options;
      const body = { entity, ...(reason === undefined ? {} : { reason }) };
      let receipt = await http.json<Erasure>('event-ingest', '/v1/erasures', {
        method: 'POST',
        body,
      });
      while (options.wait === true && !receipt.isDone) {
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        receipt = await http.json<Erasure>('event-ingest', `/v1/erasures/${receipt.id}`);
      }
      output.document(receipt, () => {
        const state = receipt.isDone
          ? 'is erased'
          : 'can not be read any more, and is being cleared';
        output.line(`${entity} ${state}: erasure ${receipt.id}`);
        if (receipt.isDone) output.table(STORE_COLUMNS, storeRows(receipt.stores));
      });
    });
}

interface StartOptions {
  readonly reason?: string;
  readonly wait?: boolean;
}

function addList(erasures: Command): void {
  erasures
    .command('list', { isDefault: true })
    .description('List them, oldest first')
    .option('--limit <count>', 'erasures at most', '1000')
    .addHelpText('after', example('erasures --json'))
    .action(async (options: { limit: string }, command: Command) => {
      const { output } = connect(command);
      const limit = wholeOption('--limit', options.limit, 1, 1_000_000);
      const rows: Erasure[] = [];
      for await (const erasure of all(planeHttp(command), limit)) {
        if (output.isJson) output.record(erasure, () => {});
        else rows.push(erasure);
      }
      if (output.isJson) return;
      output.table(
        ['erasure', 'entity', 'requested at', 'done at', 'reason'],
        rows.map(({ id, entity, requestedAt, doneAt, reason }) => [
          id,
          entity,
          requestedAt,
          doneAt ?? 'not yet',
          reason ?? '',
        ]),
      );
    });
}

function addVerify(erasures: Command): void {
  erasures
    .command('verify [ids...]')
    .description(
      'Look in every store whether anything of erased entities is there; all without ids',
    )
    .addHelpText('after', example('erasures verify'))
    .action(async (ids: string[], _options: unknown, command: Command) => {
      const { output } = connect(command);
      const http = planeHttp(command);
      const rows: string[][] = [];
      for (const id of ids.length > 0 ? ids : await doneIds(http)) {
        const path = `/v1/erasures/${encodeURIComponent(id)}/verifications`;
        const found = await http.json<Verification>('event-ingest', path, {
          method: 'POST',
          body: {},
        });
        if (!found.isClear) process.exitCode = EXIT.error;
        if (output.isJson) output.record(found, () => {});
        else rows.push(...storeRows(found.stores).map((row) => [found.entity, ...row]));
      }
      if (!output.isJson) output.table(['entity', ...STORE_COLUMNS], rows);
    });
}

function addHolds(erasures: Command): void {
  erasures
    .command('hold <entity>')
    .description('Put an entity on legal hold: it can not be erased')
    .requiredOption('--reason <text>', 'told to whoever tries')
    .addHelpText('after', example('erasures hold user/42 --reason "case 17"'))
    .action(async (entity: string, { reason }: { reason: string }, command: Command) => {
      checkEntity(entity);
      const { output } = connect(command);
      const call = { method: 'PUT', body: { reason } } as const;
      const hold = await planeHttp(command).json('event-ingest', `/v1/holds/${entity}`, call);
      output.document(hold, () => output.line(`${entity} is on hold: ${reason}`));
    });
  erasures
    .command('release <entity>')
    .description('End a legal hold')
    .addHelpText('after', example('erasures release user/42'))
    .action(async (entity: string, _options: unknown, command: Command) => {
      checkEntity(entity);
      const { output } = connect(command);
      const http = planeHttp(command);
      const { body } = await http.open('event-ingest', `/v1/holds/${entity}`, { method: 'DELETE' });
      body.resume();
      output.document({ entity }, () => output.line(`${entity} is on hold no more`));
    });
}

function addExport(erasures: Command): void {
  erasures
    .command('export')
    .description('Bring an erasure ledger up to date: what restorations are to leave out')
    .requiredOption('--ledger <place>', 'a folder, or s3://BUCKET/PREFIX, apart from the backups')
    .addHelpText('after', PLACE_HELP)
    .addHelpText('after', LEDGER_HELP)
    .addHelpText('after', example('erasures export --ledger /ledgers/memplane'))
    .action(async ({ ledger: place }: { ledger: string }, command: Command) => {
      const { output } = connect(command);
      const { exportTo } = await import('../ledger/export.ts');
      const { ledger, added } = await exportTo(place, planeHttp(command), true);
      const { head, entries } = ledger;
      output.document({ place, added, erasures: entries.size, head }, () => {
        const had = `${entries.size} in all, up to object ${head.number}`;
        output.line(`The ledger ${place} has ${added} more erasures: ${had}.`);
      });
    });
}

const STORE_COLUMNS = ['store', 'clear', 'left', 'note'];

function storeRows(stores: Stores): string[][] {
  return stores.map(({ store, isClear, left, until, note }) => [
    store,
    isClear ? 'yes' : 'no',
    left === undefined ? '' : String(left),
    until === undefined ? (note ?? '') : `plain events until ${until}`,
  ]);
}

async function* all(http: PlaneHttp, limit: number): AsyncGenerator<Erasure> {
  let after: string | undefined;
  for (let left = limit; left > 0; left -= PAGE) {
    const query = `limit=${Math.min(left, PAGE)}${after === undefined ? '' : `&after=${after}`}`;
    const page = await http.json<{ erasures: Erasure[]; next?: string }>(
      'event-ingest',
      `/v1/erasures?${query}`,
    );
    yield* page.erasures;
    if (page.next === undefined) return;
    after = page.next;
  }
}

async function doneIds(http: PlaneHttp): Promise<string[]> {
  const ids: string[] = [];
  for await (const { id, isDone } of all(http, Number.MAX_SAFE_INTEGER)) if (isDone) ids.push(id);
  return ids;
}

function checkEntity(entity: string): void {
  if (!isEntity(entity)) throw new CommandError(`${entity} is no entity: kind/id.`, EXIT.usage);
}
