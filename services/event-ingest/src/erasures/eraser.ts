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
import type { PreparedEvent } from '../domain/prepare.ts';
import type { EntityKeys } from '../sealing/entity-keys.ts';
import type { ErasureGate } from './erasure-gate.ts';
import type { ErasureStore } from './erasure-store.ts';

export interface EraserOptions {
  readonly store: ErasureStore;
  /** Undefined: nothing was ever sealed. */
  readonly keys: EntityKeys | undefined;
  readonly gate: ErasureGate;
  /** Appends the event of an erasure; a repetition is answered with the first position. */
  readonly append: (event: PreparedEvent, tenant: string) => Promise<Appended>;
  /** Makes what was removed from the strong store go from its files. */
  readonly purge: () => Promise<void>;
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
  #purging: Promise<void> | undefined;

  constructor(options: EraserOptions) {
    this.#options = options;
  }

  /** How many are not done. */
  get open(): number {
    return this.#running.size;
  }

  /** Before any append: those that a crash has left are taken up, and their entities blocked. */
  async start(): Promise<void> {
    const { store, gate } = this.#options;
    for (const record of await store.open()) {
      if (record.phase === 'appending') gate.block(record.tenant, record.entity);
      this.#run(record);
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running.values());
  }

  /**
   * @returns the receipt, once nothing of the entity can be read any more
   * @throws MemplaneError `legal_hold`, `erasing`, `overloaded`, what the log refuses
   */
  async erase(tenant: string, entity: string, reason: string | undefined): Promise<Erasure> {
    const { store, keys, gate, newId, now, erasures_open_max: max } = this.#options;
    if (this.#running.size >= max) {
      throw new MemplaneError('overloaded', `${max} erasures are under way.`, {
        retryAfterMs: 1_000,
        extra: { limit: 'erasures_open_max', max },
      });
    }
    // One at a time for an entity: the gate says so.
    gate.begin(tenant, [{ entity }])();
    gate.block(tenant, entity);
    let record: ErasureRecord | undefined;
    try {
      const hold = await store.holdOn(tenant, entity);
      if (hold !== undefined) throw onHold(entity, hold.reason, hold.since);
      await gate.drained();
      const keyId = await keys?.idOf(tenant, entity);
      record = {
        id: newId(),
        tenant,
        entity,
        ...(reason === undefined ? {} : { reason }),
        requestedAt: new Date(now()).toISOString(),
        isDone: false,
        phase: 'appending',
        ...(keyId === undefined ? {} : { keyId }),
        stores: [],
      };
      await store.save(record);
      record = await this.#shred(record);
      return receiptOf(record);
    } catch (error) {
      // What may be in the log already is seen through; the entity stays blocked until then.
      if (error instanceof MemplaneError && !error.transient) record = undefined;
      throw error;
    } finally {
      if (record !== undefined) this.#run(record);
      if (record?.phase !== 'appending') gate.unblock(tenant, entity);
    }
  }

  /** What is found of an erased entity now. @throws MemplaneError `not_found`, what services answer */
  async verify(tenant: string, id: string): Promise<readonly ClearedStore[]> {
    const record = await this.#options.store.get(tenant, id);
    if (record === undefined) throw noErasure(id);
    return [...(await this.#ownStores(record)), ...(await this.#ask(record, true))];
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
          gate.unblock(tenant, entity);
        }
        await this.#purgeStrong();
        const stores = [...(await this.#ownStores(current)), ...(await this.#ask(current, false))];
        if (stores.every(({ isClear }) => isClear)) {
          const doneAt = new Date(now()).toISOString();
          await store.save({ ...current, phase: 'done', isDone: true, doneAt, stores });
          logger.info({ erasure: id, entity }, 'an entity is erased');
          return;
        }
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (failures++ === 0) logger.warn({ err: error, erasure: id }, 'an erasure goes on later');
      }
      await pause(pollMs, signal);
    }
  }

  /** From the recorded intent to the point from which nothing can be read any more. */
  async #shred(record: ErasureRecord): Promise<ErasureRecord> {
    const { store, keys, append, now } = this.#options;
    const { tenant, entity, id } = record;
    const event = erasureEvent(entity, id, { tenant, now: new Date(now()).toISOString() });
    let place: Appended;
    try {
      place = await append(event, tenant);
    } catch (error) {
      // What is refused for good is not to be tried again at each start.
      if (error instanceof MemplaneError && !error.transient) await store.forget(record);
      throw error;
    }
    await keys?.remove(tenant, entity);
    const { partition, offset } = place;
    const shredded: ErasureRecord = {
      ...record,
      phase: 'clearing',
      event: { id: event.id, partition, offset },
    };
    await store.save(shredded);
    return shredded;
  }

  /** Erasures that are under way together share it. */
  #purgeStrong(): Promise<void> {
    this.#purging ??= this.#options.purge().finally(() => {
      this.#purging = undefined;
    });
    return this.#purging;
  }

  async #ownStores({ tenant, entity, keyId }: ErasureRecord): Promise<ClearedStore[]> {
    const { keys, now } = this.#options;
    if (keyId === undefined) return [];
    const left = (await keys?.idOf(tenant, entity)) === keyId ? 1 : 0;
    return [{ store: 'keys', isClear: left === 0, left, at: new Date(now()).toISOString() }];
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

export function noErasure(id: string): MemplaneError {
  return new MemplaneError('not_found', `There is no erasure ${id}.`, { field: 'path.id' });
}

function onHold(entity: string, reason: string, since: string): MemplaneError {
  return new MemplaneError('legal_hold', `${entity} is on legal hold: ${reason}`, {
    field: 'body.entity',
    extra: { entity, reason, since },
  });
}
