import { type StrongRecordLine, strongRecordLineSchema } from '@memplane/contracts';
import { checkedExport, unusablePart } from '@memplane/runtime';
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
      if (kind !== 'written') throw unusablePart(name, `${record.key} could not be written`);
      count++;
    }
    return count;
  } finally {
    await store.close();
  }
}

/** @throws MemplaneError `storage_damaged`, see `checkedExport` */
export function checkedStrongLines(
  lines: AsyncIterable<unknown>,
  name: string,
): AsyncGenerator<StrongRecordLine> {
  const isItem = (line: StrongRecordLine) => 'key' in line;
  return checkedExport(lines, name, { schema: strongRecordLineSchema, isItem, items: 'records' });
}
