import type { BlobStore } from '@memplane/blob-store';
import { erasuresIn, type LoggedErasure } from '@memplane/event-ingest/backup';
import { exportedLines } from '../backup/export-lines.ts';
import { shardStates } from '../backup/plane-reads.ts';
import { linesOf } from '../operate/ndjson.ts';
import type { PlaneHttp } from '../operate/plane-http.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import { appendToLedger, EMPTY_LEDGER, type Ledger, readLedger } from './ledger.ts';
import type { LedgerEntry } from './ledger-object.ts';
import { mayBeThere, withLedger } from './ledger-place.ts';

export interface LedgerExport {
  readonly ledger: Ledger;
  /** How many it did not have before. */
  readonly added: number;
}

/**
 * Brings the ledger of a place up to date with a plane: all erasures of all tenants that are in its
 * log.
 * @param makesFolder whether a folder is made before there are any
 * @throws CommandError where the ledger has erasures that the plane does not know; as `readLedger`
 */
export async function exportTo(
  place: string,
  plane: PlaneHttp,
  makesFolder = false,
): Promise<LedgerExport> {
  const { env } = process;
  // The ledger first: what others add to it meanwhile, the plane knows by then.
  const before =
    makesFolder || (await mayBeThere(place))
      ? await withLedger(place, { mustExist: !makesFolder, env }, readLedger)
      : EMPTY_LEDGER;
  const { logId } = await shardStates(plane);
  const erasures = await erasuresOf(plane);
  refuseForeign(before, new Set(erasures.map(({ id }) => id)));
  const fresh = erasures.filter(({ id }) => !before.entries.has(id));
  if (fresh.length === 0) return { ledger: before, added: 0 };
  const entries = fresh.map((erasure) => entryOf(erasure, logId));
  const append = (blobs: BlobStore) => appendToLedger(blobs, entries);
  const ledger = await withLedger(place, { mustExist: false, env }, append);
  return { ledger, added: fresh.length };
}

async function erasuresOf(plane: PlaneHttp): Promise<LoggedErasure[]> {
  const lines = linesOf(exportedLines(plane, 'event-ingest', '/v1/strong-records'));
  return await Array.fromAsync(erasuresIn(parsed(lines), 'of strong records'));
}

async function* parsed(lines: AsyncIterable<Buffer>): AsyncGenerator<unknown> {
  for await (const line of lines) yield JSON.parse(line.toString('utf8'));
}

function entryOf(
  { tenant, entity, id: erasure, requestedAt, event }: LoggedErasure,
  logId: string,
): LedgerEntry {
  return { tenant, entity, erasure, requestedAt, logId, event };
}

/** A restoration by it would erase what another plane has erased. */
function refuseForeign({ entries }: Ledger, known: ReadonlySet<string>): void {
  for (const { erasure, entity } of entries.values()) {
    if (known.has(erasure)) continue;
    throw new CommandError(
      `The ledger has an erasure of ${entity} that this plane does not know (${erasure}): the ledger ` +
        'is that of another plane, or this one was restored without it. Give another place by --ledger.',
      EXIT.refused,
    );
  }
}
