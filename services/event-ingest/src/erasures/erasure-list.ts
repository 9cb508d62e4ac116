import type { StrongStore } from '@memplane/runtime/strong';
import { erasureName, erasurePageName } from '../domain/erasures/erasure-record.ts';
import type { ErasureRecords } from './erasure-records.ts';

/** Which erasures a tenant has. */
export interface ErasureList {
  /** Durable on return; again is harmless. */
  add(tenant: string, id: string): Promise<void>;
  /** Oldest first, those behind one. */
  ids(tenant: string, after: string): AsyncIterable<string>;
}

/** What can list its records: the embedded strong store. */
export type ListingStore = StrongStore & Required<Pick<StrongStore, 'records'>>;

/** By the names of their records, which rise with time. */
export class ListedErasures implements ErasureList {
  readonly #store: ListingStore;

  constructor(store: ListingStore) {
    this.#store = store;
  }

  async add(): Promise<void> {}

  async *ids(tenant: string, after: string): AsyncGenerator<string> {
    const prefix = erasureName(tenant, '');
    for await (const { key } of this.#store.records(prefix)) {
      if (key > prefix + after) yield key.slice(prefix.length);
    }
  }
}

/** Ids of one record, some 40 bytes each. */
export const PAGE_IDS_MAX = 1_000;

/** By records of their ids, where the store can't list: one after the other as they fill up. */
export class PagedErasures implements ErasureList {
  readonly #records: ErasureRecords;
  readonly #page_ids_max: number;
  /** By tenant, a page that is full or the last: all before it are full. */
  readonly #last = new Map<string, number>();

  constructor(records: ErasureRecords, page_ids_max = PAGE_IDS_MAX) {
    this.#records = records;
    this.#page_ids_max = page_ids_max;
  }

  async add(tenant: string, id: string): Promise<void> {
    const max = this.#page_ids_max;
    for (let page = this.#last.get(tenant) ?? 0; ; page++) {
      const before = await this.#records.change<readonly string[]>(
        erasurePageName(tenant, page),
        (ids = []) => (ids.includes(id) || ids.length >= max ? ids : [...ids, id]),
      );
      this.#last.set(tenant, page);
      const isFull = before !== undefined && before.length >= max;
      if (!isFull || before.includes(id)) return;
    }
  }

  async *ids(tenant: string, after: string): AsyncGenerator<string> {
    let isBehind = after === '';
    for (let page = 0; ; page++) {
      const ids = await this.#records.get<readonly string[]>(erasurePageName(tenant, page));
      if (ids === undefined) return;
      for (const id of ids) {
        if (isBehind) yield id;
        else isBehind = id === after;
      }
    }
  }
}
