import { MemplaneError, type StrongRecordLine, strongRecordLineSchema } from '@memplane/contracts';
import { checkedExport, unusablePart } from '@memplane/runtime';
import type { StrongRecord } from '@memplane/runtime/strong';
import { restoredRecord } from './domain/strong/restored.ts';
import { Etcd } from './drivers/etcd.ts';
import { createStrong, strongKeys } from './drivers/etcd-strong.ts';
import { RocksStrong } from './drivers/rocks-strong.ts';
import {
  erasureRecords,
  type LoggedErasure,
  loggedErasures,
} from './erasures/restored-erasures.ts';

export { identityOf } from './domain/prepare.ts';
export { erasureEventAgain, type LoggedErasure } from './erasures/restored-erasures.ts';

/** A strong store that nobody uses yet. */
export interface NewStrongStore {
  /** @returns whether it was written: false where the key is there already */
  create(record: StrongRecord): Promise<boolean>;
  close(): Promise<void>;
}

/** The strong store of a plane in one folder. */
export async function newStrongFolder(dir: string): Promise<NewStrongStore> {
  const store = await RocksStrong.open(dir);
  return {
    create: async ({ key, value }) => (await store.create(key, value)).kind === 'written',
    close: () => store.close(),
  };
}

/**
 * The strong store of a distributed plane whose services have not been started yet.
 * @param endpoints members of etcd: URLs, or `host:port`, separated by commas
 * @returns undefined where the store has anything already
 * @throws MemplaneError `dependency_unavailable`
 */
export async function newStrongEtcd(endpoints: string): Promise<NewStrongStore | undefined> {
  const etcd = new Etcd(endpoints);
  for await (const _key of strongKeys(etcd)) return undefined;
  return { create: (record) => createStrong(etcd, record), close: async () => {} };
}

/** What an export of the strong store holds, to be put where nothing is. */
export interface StrongRestore {
  readonly store: NewStrongStore;
  /** The lines of an export, parsed. */
  readonly lines: AsyncIterable<unknown>;
  /** How problems call it. */
  readonly name: string;
}

/**
 * Fills a strong store with what is left of another plane's; see `restoredRecord`.
 * @returns the number of records
 * @throws MemplaneError `storage_damaged` for lines that are no whole export, what the storage throws
 */
export async function restoreStrong({ store, lines, name }: StrongRestore): Promise<number> {
  let count = 0;
  for await (const line of checkedStrongLines(lines, name)) {
    const record = 'key' in line ? restoredRecord(line) : undefined;
    if (record === undefined) continue;
    if (!(await store.create(record))) {
      throw unusablePart(name, `${record.key} could not be written`);
    }
    count++;
  }
  return count;
}

/**
 * The erasures that an export of the strong store tells of, as far as they have come into the log.
 * @throws MemplaneError `storage_damaged` for lines that are no whole export
 */
export function erasuresIn(
  lines: AsyncIterable<unknown>,
  name: string,
): AsyncGenerator<LoggedErasure> {
  return loggedErasures(checkedStrongLines(lines, name));
}

/** Keeps the receipts of erasures in a strong store that has none. */
export async function restoreErasures(
  store: NewStrongStore,
  erasures: readonly LoggedErasure[],
): Promise<void> {
  for (const record of erasureRecords(erasures)) {
    if (await store.create(record)) continue;
    throw new MemplaneError('storage_damaged', `${record.key} is there already.`);
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
