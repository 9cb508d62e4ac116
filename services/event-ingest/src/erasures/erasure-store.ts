import {
  type ErasureRecord,
  erasureName,
  type HoldRecord,
  holdName,
  OPEN_ERASURES,
} from '../domain/erasures/erasure-record.ts';
import {
  ALONE,
  entryOf,
  isTaken,
  type OpenErasure,
  type OpenErasures,
  runnerOf,
  withoutErasure,
} from '../domain/erasures/open-erasures.ts';
import type { ErasureList } from './erasure-list.ts';
import type { ErasureRecords } from './erasure-records.ts';

export interface ErasureStoreOptions {
  readonly records: ErasureRecords;
  readonly list: ErasureList;
  /** How this instance is called among those that write here; by default there is no other. */
  readonly runner?: string;
}

/**
 * Erasures and legal holds in the strong store. An erasure is seen to by one instance at a time, and
 * only that one writes its record; another takes it over once the former can append nothing any more.
 */
export class ErasureStore {
  readonly #records: ErasureRecords;
  readonly #list: ErasureList;
  readonly #runner: string;
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ records, list, runner = ALONE }: ErasureStoreOptions) {
    this.#records = records;
    this.#list = list;
    this.#runner = runner;
  }

  get(tenant: string, id: string): Promise<ErasureRecord | undefined> {
    return this.#records.get(erasureName(tenant, id));
  }

  /** Those that are not done, of all tenants and instances. */
  async open(): Promise<OpenErasures> {
    return (await this.#records.get<OpenErasures>(OPEN_ERASURES)) ?? [];
  }

  /** Of a tenant, oldest first. */
  async *list(tenant: string, after = ''): AsyncGenerator<ErasureRecord> {
    for await (const id of this.#list.ids(tenant, after)) {
      const record = await this.get(tenant, id);
      if (record !== undefined) yield record;
    }
  }

  /**
   * From its return on, all instances find that the entity is to take nothing. Again is harmless.
   * @returns whether it is this instance that sees to that; if not, nothing is written
   */
  begin(record: ErasureRecord): Promise<boolean> {
    return this.#inTurn(async () => {
      const { tenant, id } = record;
      const name = erasureName(tenant, id);
      const own = this.#owned(record);
      const found = await this.#records.get<ErasureRecord>(name);
      if (found !== undefined && !this.#isMine(found)) return false;
      let isMine = false;
      await this.#changeOpen((open) => {
        const entry = entryOf(open, record);
        isMine = (entry === undefined || this.#isMine(entry)) && !isTaken(open, record);
        return isMine ? [...withoutErasure(open, record), this.#entryOf(own)] : open;
      });
      if (!isMine) return false;
      await this.#list.add(tenant, id);
      await this.#records.change<ErasureRecord>(name, (before) => before ?? own);
      return true;
    });
  }

  /** @returns whether it is still this instance that sees to it; if not, nothing is written */
  save(record: ErasureRecord): Promise<boolean> {
    return this.#inTurn(async () => {
      const { tenant, id, phase } = record;
      const own = this.#owned(record);
      const before = await this.#records.change<ErasureRecord>(erasureName(tenant, id), (found) =>
        this.#isMine(found) ? own : found,
      );
      if (!this.#isMine(before)) return false;
      // The record first: what is not in the open ones as appending is in the log for certain.
      await this.#changeOpen((open) => {
        if (!this.#isMine(entryOf(open, record))) return open;
        const others = withoutErasure(open, record);
        return phase === 'done' ? others : [...others, this.#entryOf(own)];
      });
      return true;
    });
  }

  /** Whether it is this instance that sees to it. */
  async isMine(record: ErasureRecord): Promise<boolean> {
    return this.#isMine(entryOf(await this.open(), record));
  }

  /**
   * Goes on with what another instance, or an earlier run, has begun.
   * @returns undefined: another was first, or nothing was begun
   */
  takeOver(entry: OpenErasure): Promise<ErasureRecord | undefined> {
    return this.#inTurn(async () => {
      const { tenant, id } = entry;
      const name = erasureName(tenant, id);
      const isBegun = (await this.#records.get(name)) !== undefined;
      const former = runnerOf(entry);
      let isTaken = false;
      await this.#changeOpen((open) => {
        const now = entryOf(open, entry);
        isTaken = now !== undefined && [former, this.#runner].includes(runnerOf(now));
        if (now === undefined || !isTaken) return open;
        const others = withoutErasure(open, entry);
        return isBegun ? [...others, { ...now, runner: this.#runner }] : others;
      });
      if (!isTaken || !isBegun) return undefined;
      await this.#records.change<ErasureRecord>(name, (found) => found && this.#owned(found));
      return this.get(tenant, id);
    });
  }

  /** Forgets one whose event was refused. */
  forget(record: ErasureRecord): Promise<void> {
    return this.#inTurn(async () => {
      const { tenant, id } = record;
      await this.#records.change(erasureName(tenant, id), () => undefined);
      await this.#changeOpen((open) => withoutErasure(open, record));
    });
  }

  holdOn(tenant: string, entity: string): Promise<HoldRecord | undefined> {
    return this.#records.get(holdName(tenant, entity));
  }

  async hold(tenant: string, hold: HoldRecord): Promise<void> {
    await this.#inTurn(() => this.#records.change(holdName(tenant, hold.entity), () => hold));
  }

  /** @returns whether there was one */
  async release(tenant: string, entity: string): Promise<boolean> {
    const name = holdName(tenant, entity);
    const before = await this.#inTurn(() =>
      this.#records.change<HoldRecord>(name, () => undefined),
    );
    return before !== undefined;
  }

  #owned(record: ErasureRecord): ErasureRecord {
    return this.#runner === ALONE ? record : { ...record, runner: this.#runner };
  }

  #isMine(one: Pick<OpenErasure, 'runner'> | undefined): boolean {
    return one !== undefined && runnerOf(one) === this.#runner;
  }

  #entryOf({ tenant, id, entity, phase }: ErasureRecord): OpenErasure {
    return { tenant, id, entity, isAppending: phase === 'appending', runner: this.#runner };
  }

  #changeOpen(change: (open: OpenErasures) => OpenErasures): Promise<unknown> {
    return this.#records.change<OpenErasures>(OPEN_ERASURES, (open = []) => change(open));
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
