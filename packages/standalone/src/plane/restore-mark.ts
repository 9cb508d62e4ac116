import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { MemplaneError } from '@memplane/contracts';

/** Where a restoration puts what it has, until it has all of it. */
export const restoringDirOf = (dataDir: string): string => join(dataDir, 'restoring');

/** @throws MemplaneError `storage_unavailable` for a folder that is restored in part */
export function refuseHalfRestored(dataDir: string): void {
  if (!existsSync(restoringDirOf(dataDir))) return;
  throw new MemplaneError(
    'storage_unavailable',
    `A restoration into ${dataDir} did not come to its end. ` +
      'Repeat `memplane restore`, or delete the folder.',
  );
}
