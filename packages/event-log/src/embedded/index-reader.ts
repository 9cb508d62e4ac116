import { damaged } from './errors.ts';
import type { FileCache } from './file-cache.ts';
import { ENTRIES_PER_CHUNK, ENTRY_BYTES, EntryView } from './index-entry.ts';
import { chunkFile } from './places.ts';

/**
 * Reads the entries for [from, to) of a partition. The index was written shortly before or is small
 * (64 bytes a record), so the read is a plain call: a trip to the thread pool costs more.
 * @throws MemplaneError `storage_damaged` when the index holds fewer; Node's errors else.
 */
export function readEntries(
  files: FileCache,
  dir: string,
  partition: number,
  from: number,
  to: number,
): EntryView {
  const bytes = Buffer.allocUnsafeSlow((to - from) * ENTRY_BYTES);
  let at = from;
  while (at < to) {
    const chunk = Math.floor(at / ENTRIES_PER_CHUNK);
    const end = Math.min(to, (chunk + 1) * ENTRIES_PER_CHUNK);
    const part = bytes.subarray((at - from) * ENTRY_BYTES, (end - from) * ENTRY_BYTES);
    const position = (at % ENTRIES_PER_CHUNK) * ENTRY_BYTES;
    const read = files.useSync(chunkFile(dir, partition, chunk), (file) =>
      file.readSync(part, part.length, position),
    );
    if (read < part.length) {
      throw damaged('The index of the log is cut short', {
        partition,
        offset: at + Math.floor(read / ENTRY_BYTES),
      });
    }
    at = end;
  }
  return new EntryView(bytes);
}
