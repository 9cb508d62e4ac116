import type { ClearedStore } from '@memplane/contracts';
import type { StrongStore } from '@memplane/runtime/strong';
import { decodeHead, headKey, remembered } from '../domain/strong/head.ts';
import type { EntityName } from '../domain/strong/program.ts';
import type { StrongEntities } from '../strong/strong-entities.ts';

export interface ErasedHeadsOptions {
  readonly store: Pick<StrongStore, 'get'>;
  readonly entities: Pick<StrongEntities, 'forget' | 'forgetSeen'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Heads of strong entities that are erased, and of those that were strong. */
export class ErasedHeads {
  readonly #options: ErasedHeadsOptions;

  constructor(options: ErasedHeadsOptions) {
    this.#options = options;
  }

  /**
   * Removes what a head has of before the event that erases, while the entity takes nothing; again is
   * harmless.
   * @returns the first sequence that it may remember from now on; undefined: there is no head
   * @throws MemplaneError `no_quorum`, what the store throws
   */
  forget(of: EntityName, eventId: string): Promise<number | undefined> {
    return this.#options.entities.forget(of, eventId);
  }

  /** Nothing that this instance has seen of heads is kept in its memory, of one or of all. */
  forgetSeen(of?: EntityName): void {
    this.#options.entities.forgetSeen(of);
  }

  /** What a head has of before a sequence. */
  async look(of: EntityName, sequence: number): Promise<ClearedStore> {
    const { store, now } = this.#options;
    const found = await store.get(headKey(of));
    const left = found === undefined ? 0 : remembered(decodeHead(found.value), sequence);
    return { store: 'heads', isClear: left === 0, left, at: new Date(now()).toISOString() };
  }
}
