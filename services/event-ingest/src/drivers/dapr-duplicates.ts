import { formatHlc, parseHlc } from '@memplane/clock';
import type { LogInfo } from '@memplane/event-log';
import type { DaprState } from '@memplane/runtime/dapr';
import type { DuplicateRecord, FirstAppend } from '../domain/duplicate-record.ts';
import { RecentIds } from '../domain/recent-ids.ts';

type NewAppend = FirstAppend & { readonly digest: string };

export interface DaprDuplicatesOptions {
  readonly state: DaprState;
  /** Positions are of one log: those of another are never found. */
  readonly log: Pick<LogInfo, 'logId' | 'epoch'>;
  /** Identities that this instance also keeps in memory. */
  readonly recent_ids_max: number;
  readonly ttlSeconds: number;
  /** For each call of the store. */
  readonly timeoutMs: number;
  /** How long nothing is asked of a store that has failed. */
  readonly pauseMs: number;
  /** Identities that wait to be written; the oldest go when there are more. */
  readonly queue_ids_max: number;
  /** Told what could not be looked up, or written, and why. */
  readonly onUnknown: (operation: 'find' | 'remember', ids: number, cause?: unknown) => void;
}

/** Identities of one call of the store. */
const BATCH_IDS_MAX = 500;
/** When more wait to be written than this, nobody waits for them: appends go on at their own rate. */
const AWAITED_IDS_MAX = 2 * BATCH_IDS_MAX;

/** Resolved when so many identities have been written or given up, in the order remembered. */
interface Waiter {
  readonly count: number;
  readonly resolve: () => void;
}

interface Lookup {
  readonly idKeys: readonly string[];
  readonly resolve: (found: (FirstAppend | undefined)[]) => void;
}

/**
 * The record of recent ids in a state component, shared by all instances and forgotten after a
 * while. It is a help, no authority: while the store fails, identities are unknown, what is sent
 * twice reaches the log twice, and the views count it. Appends wait for one call before they reach the
 * log, and for the few that write what is new before they are answered; for none while it fails.
 */
export class DaprDuplicates implements DuplicateRecord {
  readonly #options: DaprDuplicatesOptions;
  readonly #own: RecentIds;
  readonly #lookups: Lookup[] = [];
  /** By key of the store. */
  readonly #unwritten = new Map<string, string>();
  /** Since the start: how many were remembered, and how many of these were written or given up. */
  #remembered = 0;
  #settled = 0;
  readonly #waiters: Waiter[] = [];
  #looking: Promise<void> | undefined;
  #writing: Promise<void> | undefined;
  #askAgainAt = 0;

  constructor(options: DaprDuplicatesOptions) {
    this.#options = options;
    this.#own = new RecentIds(options.recent_ids_max);
  }

  get size(): number {
    return this.#own.size;
  }

  find(
    idKeys: readonly string[],
  ): readonly (FirstAppend | undefined)[] | Promise<readonly (FirstAppend | undefined)[]> {
    const own = idKeys.map((idKey) => this.#own.get(idKey));
    const missing = idKeys.filter((_, i) => own[i] === undefined);
    if (missing.length === 0) return own;
    if (performance.now() < this.#askAgainAt) {
      this.#options.onUnknown('find', missing.length);
      return own;
    }
    return this.#lookUp(missing).then((found) => {
      let n = 0;
      return own.map((first) => first ?? found[n++]);
    });
  }

  remember(idKey: string, first: NewAppend): void {
    if (this.#own.get(idKey) !== undefined) return;
    this.#own.add(idKey, first);
    const { queue_ids_max, onUnknown } = this.#options;
    const [oldest] = this.#unwritten.keys();
    if (this.#unwritten.size >= queue_ids_max && oldest !== undefined) {
      this.#unwritten.delete(oldest);
      this.#settle(1);
      onUnknown('remember', 1);
    }
    const key = this.#keyOf(idKey);
    if (!this.#unwritten.has(key)) this.#remembered++;
    this.#unwritten.set(key, storedText(first));
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
  }

  shared(): Promise<void> | undefined {
    const isBehind = this.#unwritten.size > AWAITED_IDS_MAX;
    if (isBehind || this.#settled === this.#remembered) return undefined;
    const count = this.#remembered;
    return new Promise((resolve) => this.#waiters.push({ count, resolve }));
  }

  #settle(ids: number): void {
    this.#settled += ids;
    while (this.#waiters[0] && this.#waiters[0].count <= this.#settled) {
      this.#waiters.shift()?.resolve();
    }
  }

  /** Lets what is known be written, for as long as a call of the store may take. */
  async close(): Promise<void> {
    const { timeoutMs } = this.#options;
    const late = new Promise<void>((resolve) => setTimeout(resolve, timeoutMs).unref());
    await Promise.race([this.#writing, late]);
  }

  /** One call at a time, in the order asked, so that requests keep theirs; what waits goes along. */
  #lookUp(idKeys: readonly string[]): Promise<(FirstAppend | undefined)[]> {
    const { promise, resolve } = Promise.withResolvers<(FirstAppend | undefined)[]>();
    this.#lookups.push({ idKeys, resolve });
    this.#looking ??= this.#lookAll().finally(() => {
      this.#looking = undefined;
    });
    return promise;
  }

  async #lookAll(): Promise<void> {
    while (this.#lookups.length > 0) {
      const batch: Lookup[] = [];
      let ids = 0;
      while (
        this.#lookups[0] &&
        (ids === 0 || ids + this.#lookups[0].idKeys.length <= BATCH_IDS_MAX)
      ) {
        const lookup = this.#lookups.shift() as Lookup;
        ids += lookup.idKeys.length;
        batch.push(lookup);
      }
      const found = await this.#ask(batch.flatMap(({ idKeys }) => idKeys));
      for (const { idKeys, resolve } of batch) {
        resolve(idKeys.map((idKey) => found.get(this.#keyOf(idKey))));
      }
    }
  }

  async #ask(idKeys: readonly string[]): Promise<Map<string, FirstAppend>> {
    const { state, timeoutMs, onUnknown } = this.#options;
    const found = new Map<string, FirstAppend>();
    if (performance.now() < this.#askAgainAt) {
      onUnknown('find', idKeys.length);
      return found;
    }
    try {
      const keys = idKeys.map((idKey) => this.#keyOf(idKey));
      for (const [key, { value }] of await state.getBulk(keys, { timeoutMs })) {
        const first = firstOf(value);
        if (first) found.set(key, first);
      }
    } catch (cause) {
      this.#pause();
      onUnknown('find', idKeys.length, cause);
    }
    return found;
  }

  async #writeAll(): Promise<void> {
    const { state, timeoutMs, ttlSeconds, onUnknown } = this.#options;
    // What else is remembered in this turn goes along.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#unwritten.size > 0) {
      const items = [];
      for (const [key, value] of this.#unwritten) {
        this.#unwritten.delete(key);
        items.push({ key, value, ttlSeconds });
        if (items.length === BATCH_IDS_MAX) break;
      }
      try {
        if (performance.now() < this.#askAgainAt) onUnknown('remember', items.length);
        else await state.save(items, { timeoutMs });
      } catch (cause) {
        this.#pause();
        onUnknown('remember', items.length, cause);
      }
      this.#settle(items.length);
    }
  }

  #pause(): void {
    this.#askAgainAt = performance.now() + this.#options.pauseMs;
  }

  #keyOf(idKey: string): string {
    const { logId, epoch } = this.#options.log;
    return `recent.${logId}.${epoch}.${Buffer.from(idKey, 'latin1').toString('base64url')}`;
  }
}

const FORMAT_VERSION = 1;

/** A text: the store's numbers are float64, and an object costs more. */
function storedText({ partition, offset, hlc, contentKey }: FirstAppend): string {
  return `${FORMAT_VERSION} ${partition} ${offset} ${formatHlc(hlc)} ${contentKey}`;
}

function firstOf(value: unknown): FirstAppend | undefined {
  if (typeof value !== 'string') return undefined;
  const [version, partition, offset, hlc = '', contentKey = ''] = value.split(' ');
  if (version !== String(FORMAT_VERSION)) return undefined;
  return { partition: Number(partition), offset: Number(offset), hlc: parseHlc(hlc), contentKey };
}
