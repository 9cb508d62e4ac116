import { firstHlcOf, type Hlc } from '@memplane/clock';
import type { LogBounds } from '../port.ts';
import type { FileCache } from './file-cache.ts';
import { readEntries } from './index-reader.ts';

/** Entries that are read at once where some can not be used. */
const STEP_ENTRIES = 64;

/**
 * The first offset whose stamp is not older than a time: by halves, since the stamps of a partition
 * rise. The end when all are older.
 * @param timeMs whole milliseconds since 1970
 */
export function findOffsetSince(
  files: FileCache,
  dir: string,
  partition: number,
  bounds: LogBounds,
  timeMs: number,
): number {
  const floor = firstHlcOf(Math.max(0, Math.trunc(timeMs)));
  let low = bounds.start;
  let high = bounds.end;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const known = nextStamp(files, dir, partition, middle, high);
    if (known !== undefined && known.hlc < floor) low = known.offset + 1;
    else high = middle;
  }
  return low;
}

/** The stamp at an offset, or at the next one whose entry tells it. */
function nextStamp(
  files: FileCache,
  dir: string,
  partition: number,
  from: number,
  to: number,
): { offset: number; hlc: Hlc } | undefined {
  let step = 1;
  for (let at = from; at < to; at += step, step = STEP_ENTRIES) {
    const end = Math.min(to, at + step);
    const view = readEntries(files, dir, partition, at, end);
    for (let i = 0; i < end - at; i++) {
      if (view.intact(i) && !view.lost(i)) return { offset: at + i, hlc: view.hlc(i) };
    }
  }
  return undefined;
}
