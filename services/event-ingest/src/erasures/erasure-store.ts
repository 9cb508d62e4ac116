import { MemplaneError } from '@memplane/contracts';
import {
  decodeErasures,
  type ErasureRecord,
  encodeErasures,
  erasureName,
  type HoldRecord,
  holdName,
  OPEN_ERASURES,
} from '../domain/erasures/erasure-record.ts';
import type { StrongStore, WriteOutcome } from '../domain/strong/store.ts';

/** What can list its records: the embedded strong store. */
export type ListingStore = StrongStore & Required<Pick<StrongStore, 'records'>>;

interface OpenErasure {
  readonly tenant: string;
  readonly id: string;
}

/** Erasures and legal holds in the strong store. This process alone writes them. */
export class ErasureStore {
  readonly #store: ListingStore;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: ListingStore) {
    this.#store = store;
  }

  async get(tenant: string, id: string): Promise<ErasureRecord | undefined> {
    const found = await this.#store.get(erasureName(tenant, id));
    return found && decodeErasures<ErasureRecord>(found.value);
  }

  /** Those that are not done yet, of all tenants. */
  async open(): Promise<ErasureRecord[]> {
    const records: ErasureRecord[] = [];
    for (const { tenant, id } of await this.#openNames()) {
      const record = await this.get(tenant, id);
      if (record !== undefined) records.push(record);
    }
    return records;
  }

  /** Of a tenant, oldest first: their ids rise with time. */
  async *list(tenant: string, after = ''): AsyncGenerator<ErasureRecord> {
    const prefix = erasureName(tenant, '');
    for await (const { key, value } of this.#store.records(prefix)) {
      if (key > prefix + after) yield decodeErasures<ErasureRecord>(value);
    }
  }

  /** Durable on return. */
  save(record: ErasureRecord): Promise<void> {
    return this.#inTurn(async () => {
      const { tenant, id } = record;
      if (record.phase !== 'done') await this.#setOpen(tenant, id, true);
      await this.#put(erasureName(tenant, id), encodeErasures(record));
      if (record.phase === 'done') await this.#setOpen(tenant, id, false);
    });
  }

  /** Forgets one whose event was refused. */
  forget({ tenant, id }: ErasureRecord): Promise<void> {
    return this.#inTurn(async () => {
      await this.#delete(erasureName(tenant, id));
      await this.#setOpen(tenant, id, false);
    });
  }

  async holdOn(tenant: string, entity: string): Promise<HoldRecord | undefined> {
    const found = await this.#store.get(holdName(tenant, entity));
    return found && decodeErasures<HoldRecord>(found.value);
  }

  hold(tenant: string, hold: HoldRecord): Promise<void> {
    return this.#inTurn(() => this.#put(holdName(tenant, hold.entity), encodeErasures(hold)));
  }

  /** @returns whether there was one */
  release(tenant: string, entity: string): Promise<boolean> {
    return this.#inTurn(() => this.#delete(holdName(tenant, entity)));
  }

  async #openNames(): Promise<readonly OpenErasure[]> {
    const found = await this.#store.get(OPEN_ERASURES);
    return found === undefined ? [] : decodeErasures<readonly OpenErasure[]>(found.value);
  }

  async #setOpen(tenant: string, id: string, isOpen: boolean): Promise<void> {
    const before = await this.#openNames();
    const others = before.filter((one) => one.tenant !== tenant || one.id !== id);
    if (!isOpen && others.length === before.length) return;
    if (isOpen && others.length < before.length) return;
    await this.#put(OPEN_ERASURES, encodeErasures(isOpen ? [...others, { tenant, id }] : others));
  }

  async #put(key: string, value: string): Promise<void> {
    const found = await this.#store.get(key);
    written(
      found === undefined
        ? await this.#store.create(key, value)
        : await this.#store.compareAndSet(key, value, found.version),
    );
  }

  async #delete(key: string): Promise<boolean> {
    const found = await this.#store.get(key);
    if (found === undefined) return false;
    written(await this.#store.delete(key, found.version));
    return true;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

function written(outcome: WriteOutcome): void {
  if (outcome.kind === 'written') return;
  const cause = outcome.kind === 'unknown' ? outcome.cause : undefined;
  throw new MemplaneError('storage_unavailable', 'A record of erasures was not written.', {
    cause,
    retryAfterMs: 1_000,
  });
}
