import { partitionKey } from '@memplane/contracts';
import {
  type AppendEnd,
  type AppendOrder,
  appendAllProgram,
  clearProgram,
  readProgram,
  type StrongPlace,
} from '../domain/strong/append-program.ts';
import { forgetProgram } from '../domain/strong/forget-program.ts';
import { endGuardProgram, raiseProgram } from '../domain/strong/lease-program.ts';
import type { Check, EntityName } from '../domain/strong/program.ts';
import { AppendGroups } from './append-groups.ts';
import { KeyedQueues } from './keyed-queues.ts';
import type { StrongEffects } from './strong-effects.ts';

export interface StrongEntitiesOptions {
  readonly effects: StrongEffects;
  /** Of one entity, in this instance. */
  readonly strong_queue_max: number;
  /** How long after an append its intent is taken out, where no other append did. */
  readonly clearMs: number;
}

/** Intents that wait to be taken out; others are taken out by who comes next. */
const CLEARS_MAX = 1_000;

/** Work on strong entities: of one entity one after the other, in this instance. */
export class StrongEntities {
  readonly #options: StrongEntitiesOptions;
  readonly #queues: KeyedQueues;
  readonly #clears = new Map<string, NodeJS.Timeout>();
  readonly #groups: AppendGroups;
  #isClosed = false;

  constructor(options: StrongEntitiesOptions) {
    const { strong_queue_max } = options;
    this.#options = options;
    this.#queues = new KeyedQueues(strong_queue_max);
    this.#groups = new AppendGroups({
      strong_queue_max,
      inTurn: (of, work) => this.#inTurn(of, work),
      appendAll: (orders) => this.#appendAll(orders),
    });
  }

  /** Entities that something is done to. */
  get busy(): number {
    return this.#queues.size;
  }

  /** @throws MemplaneError see `appendProgram`; `overloaded` */
  async append(order: AppendOrder): Promise<readonly StrongPlace[]> {
    return this.#groups.append(order);
  }

  async #appendAll(orders: readonly [AppendOrder, ...AppendOrder[]]) {
    const ends = await this.#options.effects.run(appendAllProgram(orders));
    // The intent bears the name of the first that brought anything.
    const first = orders.find((_, i) => isAppended(ends[i]));
    if (first !== undefined) this.#clearLater(first, first.nonce);
    return ends;
  }

  /**
   * What a linearizable read must see: a sequence, or else the token.
   * @param check see {@link Check}
   */
  async read(
    of: EntityName,
    zones: number,
    check?: Check,
  ): Promise<{ readonly sequence: number | undefined; readonly token: string }> {
    const { effects } = this.#options;
    const { sequence, nonce } = await this.#inTurn(of, () =>
      effects.run(readProgram(of, zones, check)),
    );
    if (nonce !== undefined) this.#clearLater(of, nonce);
    return { sequence, token: await effects.tokenOf(of) };
  }

  raise(of: EntityName, zones: number, lease: string, token: number): Promise<void> {
    const { effects } = this.#options;
    return this.#inTurn(of, () => effects.run(raiseProgram(of, zones, lease, token)));
  }

  endGuard(of: EntityName, lease: string, token: number): Promise<void> {
    const { effects } = this.#options;
    return this.#inTurn(of, () => effects.run(endGuardProgram(of, lease, token)));
  }

  /** See {@link forgetProgram}. */
  forget(of: EntityName, id: string): Promise<number | undefined> {
    const { effects } = this.#options;
    return this.#inTurn(of, () => effects.run(forgetProgram(of, id)));
  }

  /** Nothing that was seen of heads is kept in memory, where `of` is given of that one. */
  forgetSeen(of?: EntityName): void {
    this.#options.effects.forget(of);
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#clears.values()) clearTimeout(timer);
  }

  #inTurn<T>(of: EntityName, work: () => Promise<T>): Promise<T> {
    return this.#queues.run(partitionKey(of.tenant, of.entity), work);
  }

  /** So that nobody has to produce again what is in the log. */
  #clearLater(of: EntityName, nonce: string): void {
    const { effects, clearMs } = this.#options;
    const key = partitionKey(of.tenant, of.entity);
    const before = this.#clears.get(key);
    clearTimeout(before);
    this.#clears.delete(key);
    if (this.#isClosed || this.#clears.size >= CLEARS_MAX) return;
    const timer = setTimeout(() => {
      this.#clears.delete(key);
      // Whoever comes next would find the intent and know what to do.
      this.#inTurn(of, () => effects.run(clearProgram(of, nonce))).catch(() => {});
    }, clearMs);
    this.#clears.set(key, timer.unref());
  }
}

function isAppended(end: AppendEnd | undefined): boolean {
  return end !== undefined && 'places' in end && end.places.some(({ duplicate }) => !duplicate);
}
