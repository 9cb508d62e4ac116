import { MemplaneError, type StrongRecordLine, strongRecordLineSchema } from '@memplane/contracts';
import { restoredRecord } from './domain/strong/restored.ts';
import { RocksStrong } from './drivers/rocks-strong.ts';

export { identityOf } from './domain/prepare.ts';

/** What an export of the strong store holds, to be put into an empty folder. */
export interface StrongRestore {
  readonly dir: string;
  /** The lines of an export, parsed. */
  readonly lines: AsyncIterable<unknown>;
  /** How problems call it. */
  readonly name: string;
}

/**
 * Fills the folder of a strong store with what is left of another plane's; see `restoredRecord`.
 * @returns the number of records
 * @throws MemplaneError `storage_damaged` for lines that are no whole export, what the storage throws
 */
export async function restoreStrong({ dir, lines, name }: StrongRestore): Promise<number> {
  const store = await RocksStrong.open(dir);
  try {
    let count = 0;
    for await (const line of checkedStrongLines(lines, name)) {
      const record = 'key' in line ? restoredRecord(line) : undefined;
      if (record === undefined) continue;
      const { kind } = await store.create(record.key, record.value);
      if (kind !== 'written') throw damaged(name, `${record.key} could not be written`);
      count++;
    }
    return count;
  } finally {
    await store.close();
  }
}

/** @throws MemplaneError `storage_damaged` unless the first line is a head and the last an end */
export async function* checkedStrongLines(
  lines: AsyncIterable<unknown>,
  name: string,
): AsyncGenerator<StrongRecordLine> {
  let isFirst = true;
  let hasEnded = false;
  let count = 0;
  for await (const line of lines) {
    const { data, success } = strongRecordLineSchema.safeParse(line);
    if (!success || hasEnded || isFirst !== 'format' in data) {
      throw damaged(name, 'a line is not what it should be');
    }
    isFirst = false;
    hasEnded = 'end' in data;
    if ('end' in data && data.count !== count) throw damaged(name, 'records are missing');
    if ('key' in data) count++;
    yield data;
  }
  if (!hasEnded) throw damaged(name, 'it ends too early');
}

function damaged(name: string, why: string): MemplaneError {
  return new MemplaneError('storage_damaged', `The part ${name} can not be used: ${why}.`, {
    extra: { part: name },
  });
}
