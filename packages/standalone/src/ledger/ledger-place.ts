import { stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import type { BlobStore } from '@memplane/blob-store';
import { openPlace, settingsOf } from '../backup/place.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';

type Env = Readonly<Record<string, string | undefined>>;

const LEDGER_NAME = 'memplane-erasures';

/**
 * The place of the ledger of backups that lie side by side: beside them.
 * @throws CommandError where there is nothing beside a backup
 */
export function ledgerBeside(backup: string): string {
  if (!backup.startsWith('s3://')) return join(dirname(resolve(backup)), LEDGER_NAME);
  const parts = backup.replace(/\/+$/, '').split('/');
  // s3:, nothing, the bucket.
  if (parts.length > 3) return [...parts.slice(0, -1), LEDGER_NAME].join('/');
  throw new CommandError(
    'A backup that fills a bucket has nothing beside it: say by --ledger where its erasure ledger is.',
    EXIT.usage,
  );
}

/** @throws CommandError for a ledger within the backup, or the other way round */
export function refuseWithin(ledger: string, backup: string): void {
  if (!isWithin(ledger, backup) && !isWithin(backup, ledger)) return;
  throw new CommandError(
    `The erasure ledger (${ledger}) has to be kept apart from the backup (${backup}).`,
    EXIT.usage,
  );
}

function isWithin(inner: string, outer: string): boolean {
  if (inner.startsWith('s3://') !== outer.startsWith('s3://')) return false;
  if (inner.startsWith('s3://')) return slashed(inner).startsWith(slashed(outer));
  const way = relative(resolve(outer), resolve(inner));
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

function slashed(place: string): string {
  return `${place.replace(/\/+$/, '')}/`;
}

/**
 * Works with what a place has. A folder that is not there is made for a writer.
 * @throws CommandError
 */
export async function withLedger<T>(
  spec: string,
  how: { readonly mustExist: boolean; readonly env: Env },
  work: (blobs: BlobStore) => Promise<T>,
): Promise<T> {
  const settings = settingsOf('MEMPLANE_LEDGER_', how.env);
  const place = await openPlace(spec, how.mustExist, settings);
  try {
    return await work(place.blobs);
  } finally {
    place.close();
  }
}

/** Whether there may be a ledger: a folder may be missing, what is in S3 is only known once asked. */
export async function mayBeThere(spec: string): Promise<boolean> {
  if (spec.startsWith('s3://')) return true;
  return (await stat(resolve(spec)).catch(() => undefined)) !== undefined;
}
