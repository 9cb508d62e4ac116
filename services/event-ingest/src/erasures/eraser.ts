import {
  type ClearedStore,
  type ClearingAnswer,
  type Erasure,
  MemplaneError,
  type ServiceName,
} from '@memplane/contracts';
import { type Invoker, type Logger, pause } from '@memplane/runtime';
import type { Appended } from '../appender.ts';
import { erasureEvent } from '../domain/erasures/erasure-event.ts';
import { type ErasureRecord, receiptOf } from '../domain/erasures/erasure-record.ts';
import { ALONE, type OpenErasure, runnerOf } from '../domain/erasures/open-erasures.ts';
import type { PreparedEvent } from '../domain/prepare.ts';
import type { EntityKeys } from '../sealing/entity-keys.ts';
import type { ErasedHeads } from './erased-heads.ts';
import type { ErasureGate } from './erasure-gate.ts';
import type { ErasureStore } from './erasure-store.ts';
import { type Purge, Purges } from './purges.ts';

export interface EraserOptions {
  readonly store: ErasureStore;
  /** Undefined: nothing was ever sealed. */
  readonly keys: EntityKeys | undefined;
  /** Undefined: nothing was ever strong. */
  readonly heads: ErasedHeads | undefined;
  readonly gate: ErasureGate;
  /**
   * Resolves when no instance has anything of the entity under way, nor begins any.
   * @throws MemplaneError `erasing` when that takes too long
   */
  readonly agree: (erasure: string, signal: AbortSignal) => Promise<void>;
  /** Whether other instances use the store. */
  readonly isShared: boolean;
  /** Why an entity that has no key can not be erased; undefined: it can. */
  readonly refusesPlain: (tenant: string, entity: string) => Promise<string | undefined>;
  /**
   * Appends the event of an erasure; a repetition is answered with the first position.
   * @param confirm called when nobody can overtake this instance any more without its append failing
   */
  readonly append: (
    event: PreparedEvent,
    tenant: string,
    confirm: () => Promise<void>,
  ) => Promise<Appended>;
  /** Makes what was removed from the strong store go from its files. */
  readonly purge: Purge;
  readonly invoker: Invoker;
  readonly logger: Logger;
  readonly newId: () => string;
  readonly now: () => number;
  readonly erasures_open_max: number;
  /** How often the other services are asked how far they are. */
  readonly pollMs: number;
}

/** Who else has copies. */
const CLEARING: readonly ServiceName[] = ['materializer', 'vector-index'];
const ASK_TIMEOUT_MS = 30_000;
/** Of a thorough look, which reads stores from end to end. */
const VERIFY_TIMEOUT_MS = 10 * 60_000;

/**
 * Erases entities: records that it will, puts the erasure into the log with nothing of the entity
 * under way, removes the key, and sees to it that every store is cleared. Each step can be repeated, so
 * that what a crash leaves is finished at the next start.
 */
export class Eraser {
  readonly #options: EraserOptions;
  readonly #stopping = new AbortController();
  readonly #running = new Map<string, Promise<void>>();
  readonly #purges: Purges;

  constructor(options: EraserOptions) {
    this.#options = options;
    this.#purges = new Purges(options.purge);
  }

  /** How many are not done. */
  get open(): number {
    return this.#running.size;
  }

  /** Before any append: those that an earlier run has left are taken up. */
  async start(): Promise<void> {
    for (const entry of await this.#options.store.open()) {
      if (runnerOf(entry) === ALONE) await this.takeOver(entry);
    }
  }

  /** Goes on with what a run or an instance has left that appends nothing any more. */
  async takeOver(entry: OpenErasure): Promise<void> {
    if (this.#running.has(entry.id) || this.#stopping.signal.aborted) return;
    const { store, gate, logger } = this.#options;
    const record = await store.takeOver(entry);
    if (record === undefined) return;
    const { id, tenant, entity } = record;
    if (record.phase === 'appending') gate.block(tenant, entity, id);
    logger.warn({ erasure: id, entity }, 'an erasure that was left unfinished goes on');
    this.#run(this.#again(record));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running.values());
  }

  /**
   * @returns the receipt, once nothing of the entity can be read any more
   * @throws MemplaneError `legal_hold`, `erasing`, `overloaded`, `not_implemented`, what the log refuses
   */
  async erase(tenant: string, entity: string, reason: string | undefined): Promise<Erasure> {
    const { store, gate, newId, now } = this.#options;
    this.#checkRoom();
    const id = newId();
    // One at a time for an entity: the gate says so.
    gate.begin(tenant, [{ entity }]).end();
    gate.block(tenant, entity, id);
    let record: ErasureRecord | undefined;
    try {
      const hold = await store.holdOn(tenant, entity);
      if (hold !== undefined) throw onHold(entity, hold.reason, hold.since);
      record = {
        id,
        tenant,
        entity,
        ...(reason === undefined ? {} : { reason }),
        requestedAt: new Date(now()).toISOString(),
        isDone: false,
        phase: 'appending',
        stores: [],
      };
      record = await this.#shred(record);
      return receiptOf(record);
    } catch (error) {
      // What may be in the log already is seen through; the entity stays blocked until then.
      if (record !== undefined) record = isOver(error) ? undefined : this.#again(record);
      throw error;
    } finally {
      if (record !== undefined) this.#run(record);
      if (record?.phase !== 'appending') gate.unblock(tenant, entity, id);
    }
  }

  /** What is found of an erased entity now. @throws MemplaneError `not_found`, what services answer */
  async verify(tenant: string, id: string): Promise<readonly ClearedStore[]> {
    const record = await this.#options.store.get(tenant, id);
    if (record === undefined) throw noErasure(id);
    return [...(await this.#ownStores(record)), ...(await this.#ask(record, true))];
  }

  #checkRoom(): void {
    const { erasures_open_max: max } = this.#options;
    if (this.#running.size < max) return;
    throw new MemplaneError('overloaded', `${max} erasures are under way.`, {
      retryAfterMs: 1_000,
      extra: { limit: 'erasures_open_max', max },
    });
  }

  #run(record: ErasureRecord): void {
    const running = this.#finish(record).finally(() => this.#running.delete(record.id));
    this.#running.set(record.id, running);
  }

  /** Goes on until it is done, whatever fails meanwhile. */
  async #finish(record: ErasureRecord): Promise<void> {
    const { store, gate, logger, pollMs, now } = this.#options;
    const { signal } = this.#stopping;
    const { id, entity, tenant } = record;
    let current = record;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (current.phase === 'appending') {
          current = await this.#shred(current);
          gate.unblock(tenant, entity, id);
        }
        const cleared = [...(await this.#ownStores(current)), ...(await this.#ask(current, false))];
        if (cleared.every(({ isClear }) => isClear)) {
          const stores = [...cleared, ...(await this.#purge(current))];
          const doneAt = new Date(now()).toISOString();
          await store.save({ ...current, phase: 'done', isDone: true, doneAt, stores });
          logger.info({ erasure: id, entity }, 'an entity is erased');
          return;
        }
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (current.phase === 'appending') {
          if (isOver(error)) return gate.unblock(tenant, entity, id);
          current = this.#again(current);
        }
        if (failures++ === 0) logger.warn({ err: error, erasure: id }, 'an erasure goes on later');
      }
      await pause(pollMs, signal);
    }
  }

  /** An event that may be in the log, or not, is not waited for: the next has an id of its own. */
  #again(record: ErasureRecord): ErasureRecord {
    // Alone, it is found in the log by its id.
    if (record.phase !== 'appending' || !this.#options.isShared) return record;
    return { ...record, attempt: (record.attempt ?? 0) + 1 };
  }

  /** From the recorded intent to the point from which nothing can be read any more. */
  async #shred(begun: ErasureRecord): Promise<ErasureRecord> {
    const { store, keys, heads, agree, append, now } = this.#options;
    const { tenant, entity, id, attempt } = begun;
    if (!(await store.begin(begun))) throw new Superseded();
    await agree(id, this.#stopping.signal);
    // Nobody makes a key any more, so that this is the one to remove, also after a crash.
    const keyId = begun.keyId ?? (await keys?.idOf(tenant, entity));
    const record = keyId === undefined ? begun : { ...begun, keyId };
    const event = erasureEvent(entity, id, { tenant, now: new Date(now()).toISOString() }, attempt);
    const { partition, offset } = await this.#orForgotten(record, async () => {
      if (keyId === undefined) await this.#checkPlain(tenant, entity);
      else await this.#save(record);
      return append(event, tenant, () => this.#confirm(record));
    });
    if (keyId !== undefined) await keys?.remove(tenant, entity, keyId);
    const sequence = await heads?.forget({ tenant, entity }, event.id);
    const shredded: ErasureRecord = {
      ...record,
      ...(sequence === undefined ? {} : { sequence }),
      phase: 'clearing',
      event: { id: event.id, partition, offset },
    };
    await this.#save(shredded);
    return shredded;
  }

  /** What is refused for good is not to be tried again at each start. */
  async #orForgotten<T>(record: ErasureRecord, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof MemplaneError && !error.transient) {
        await this.#options.store.forget(record);
      }
      throw error;
    }
  }

  /** @throws MemplaneError `not_implemented` */
  async #checkPlain(tenant: string, entity: string): Promise<void> {
    const why = await this.#options.refusesPlain(tenant, entity);
    if (why === undefined) return;
    const message = `${entity} is not sealed, and this plane can not erase it: ${why}`;
    throw new MemplaneError('not_implemented', message, {
      field: 'body.entity',
      extra: { entity },
    });
  }

  async #save(record: ErasureRecord): Promise<void> {
    if (!(await this.#options.store.save(record))) throw new Superseded();
  }

  async #confirm(record: ErasureRecord): Promise<void> {
    if (!(await this.#options.store.isMine(record))) throw new Superseded();
  }

  #purge({ sequence }: ErasureRecord): Promise<readonly ClearedStore[]> {
    // What is sealed today may have been plain once.
    return this.#purges.run({ hadEvents: sequence !== undefined });
  }

  async #ownStores({ tenant, entity, keyId, sequence }: ErasureRecord): Promise<ClearedStore[]> {
    const { keys, heads, now } = this.#options;
    const stores: ClearedStore[] = [];
    if (keyId !== undefined) {
      const left = (await keys?.idOf(tenant, entity)) === keyId ? 1 : 0;
      stores.push({ store: 'keys', isClear: left === 0, left, at: new Date(now()).toISOString() });
    }
    if (heads !== undefined && sequence !== undefined) {
      stores.push(await heads.look({ tenant, entity }, sequence));
    }
    return stores;
  }

  async #ask(record: ErasureRecord, isThorough: boolean): Promise<ClearedStore[]> {
    const { tenant, entity, event } = record;
    if (event === undefined) throw new MemplaneError('erasing', `${entity} is being erased.`);
    const answers = await Promise.all(
      CLEARING.map((service) =>
        this.#options.invoker.invoke(service, 'POST', '/v1/clearings', {
          body: {
            tenant,
            entity,
            partition: event.partition,
            offset: event.offset,
            isThorough,
          },
          timeoutMs: isThorough ? VERIFY_TIMEOUT_MS : ASK_TIMEOUT_MS,
          signal: this.#stopping.signal,
        }),
      ),
    );
    return answers.flatMap((answer) => [...(answer as ClearingAnswer).stores]);
  }
}

/** Another instance sees to the erasure now. */
class Superseded extends MemplaneError {
  constructor() {
    super('erasing', 'Another instance goes on with the erasure.', { retryAfterMs: 1_000 });
  }
}

/** Nothing is left to be done here: it was refused for good, or another instance does it. */
function isOver(error: unknown): boolean {
  return error instanceof Superseded || (error instanceof MemplaneError && !error.transient);
}

export function noErasure(id: string): MemplaneError {
  return new MemplaneError('not_found', `There is no erasure ${id}.`, { field: 'path.id' });
}

function onHold(entity: string, reason: string, since: string): MemplaneError {
  return new MemplaneError('legal_hold', `${entity} is on legal hold: ${reason}`, {
    field: 'body.entity',
    extra: { entity, reason, since },
  });
}
