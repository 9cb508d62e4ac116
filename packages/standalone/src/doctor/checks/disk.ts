import { statfs } from 'node:fs/promises';
import { bytes } from '../../output/text.ts';
import { type Check, type Finding, NotHere } from '../check.ts';

const GIB = 1024 ** 3;
const WARN = { bytes: GIB, part: 0.1 };
const ERROR = { bytes: GIB / 8, part: 0.02 };

/** The disk of the data folder has room, where it is on this machine. */
export const diskCheck: Check = {
  name: 'disk',
  async run({ settings: { dataDir } }) {
    const disk = await statfs(dataDir).catch(() => undefined);
    if (disk === undefined) {
      throw new NotHere(`there is no ${dataDir} here (--data-dir says where it is)`);
    }
    return roomFindings(dataDir, disk.bavail * disk.bsize, disk.blocks * disk.bsize);
  },
};

/** @param free bytes that the plane may still take, of `total` */
export function roomFindings(dataDir: string, free: number, total: number): Finding[] {
  const isBelow = (bound: typeof WARN) => free < bound.bytes || free < total * bound.part;
  if (!isBelow(WARN)) return [];
  return [
    {
      code: 'disk_nearly_full',
      severity: isBelow(ERROR) ? 'error' : 'warning',
      about: dataDir,
      detail: `${bytes(free)} free of ${bytes(total)}`,
      advice:
        'Make room, or move the folder. A full disk is survived (writes are refused, reads go on), ' +
        'but nothing is taken meanwhile.',
    },
  ];
}
