import type { BackupReader } from '../backup/backup-reader.ts';
import { ownErasures } from '../backup/restored-erasures.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import { EMPTY_LEDGER, type Ledger, readLedger, whyNotSince } from './ledger.ts';
import { NO_OBJECTS } from './ledger-object.ts';
import { ledgerBeside, mayBeThere, withLedger } from './ledger-place.ts';

export interface LedgerFlags {
  readonly from: string;
  /** Where it is; undefined: beside the backup. */
  readonly ledger?: string;
  readonly withoutLedger: boolean;
}

export interface FoundLedger {
  readonly place: string;
  readonly ledger: Ledger;
}

/**
 * The ledger that a backup is to be restored by.
 * @returns undefined where there is none and none is needed: nothing was ever erased when the backup
 * was made, or it is to be restored without
 * @throws CommandError where one is needed, and for one that is older than the backup; as `readLedger`
 */
export async function ledgerOf(
  backup: BackupReader,
  { from, ledger: given, withoutLedger }: LedgerFlags,
  env: Readonly<Record<string, string | undefined>>,
): Promise<FoundLedger | undefined> {
  if (withoutLedger) {
    if (given === undefined) return undefined;
    throw new CommandError('Give --ledger or --without-ledger, not both.', EXIT.usage);
  }
  const { ledger: since = NO_OBJECTS } = backup.manifest;
  const isNeeded = since.number > 0 || (await ownErasures(backup)).length > 0;
  const place = given ?? placeBeside(from, isNeeded);
  if (place === undefined) return undefined;
  const isThere = given !== undefined || (await mayBeThere(place));
  const read = () => withLedger(place, { mustExist: true, env }, readLedger);
  const ledger = isThere ? await read() : EMPTY_LEDGER;
  const isEmpty = ledger.entries.size === 0;
  if (isEmpty && isNeeded) throw needed(place, 'there is none');
  const why = whyNotSince(ledger, since);
  if (why !== undefined) throw needed(place, why);
  return isEmpty && given === undefined ? undefined : { place, ledger };
}

function placeBeside(from: string, isNeeded: boolean): string | undefined {
  try {
    return ledgerBeside(from);
  } catch (error) {
    if (isNeeded) throw error;
    return undefined;
  }
}

function needed(place: string, why: string): CommandError {
  return new CommandError(
    `The plane of this backup has erased entities, and the erasure ledger ${place} does not do: ` +
      `${why}. Give the newest one by --ledger, or --without-ledger: what was erased since the backup ` +
      'is then there again.',
    EXIT.refused,
  );
}
