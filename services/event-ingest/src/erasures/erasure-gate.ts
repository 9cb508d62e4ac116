import { MemplaneError, partitionKey } from '@memplane/contracts';
import { UnderWay } from '../domain/under-way.ts';

const RETRY_MS = 200;

/** An append that has passed the gate. */
export interface ErasurePassage {
  /**
   * @throws MemplaneError `erasing` when others may have gone on without this instance meanwhile: what
   * was sealed may be sealed with a key that is gone
   */
  check(): void;
  /** To be called exactly once, when the append has ended. */
  end(): void;
}

/**
 * Appends pass through it, so that none is under way on an entity when its erasure is put into the
 * log: what came before is before it, and what comes after has another key.
 */
export class ErasureGate {
  /** By partition key: the erasures of the entity that are on their way into the log. */
  readonly #blocked = new Map<string, Set<string>>();
  readonly #appends = new UnderWay();
  #resets = 0;

  /**
   * An append begins.
   * @throws MemplaneError `erasing`
   */
  begin(tenant: string, events: readonly { readonly entity: string }[]): ErasurePassage {
    if (this.#blocked.size > 0) {
      for (const { entity } of events) {
        if (this.#blocked.has(partitionKey(tenant, entity))) throw erasing(entity);
      }
    }
    const resets = this.#resets;
    return {
      check: () => {
        if (this.#resets !== resets) throw erasing(events[0]?.entity ?? '');
      },
      end: this.#appends.begin(),
    };
  }

  /** No append to the entity begins any more. @param erasure its id */
  block(tenant: string, entity: string, erasure: string): void {
    const key = partitionKey(tenant, entity);
    const blocks = this.#blocked.get(key);
    if (blocks === undefined) this.#blocked.set(key, new Set([erasure]));
    else blocks.add(erasure);
  }

  unblock(tenant: string, entity: string, erasure: string): void {
    const key = partitionKey(tenant, entity);
    const blocks = this.#blocked.get(key);
    blocks?.delete(erasure);
    if (blocks?.size === 0) this.#blocked.delete(key);
  }

  /** Resolves when all that began before this has ended. */
  drained(): Promise<void> {
    return this.#appends.drained();
  }

  /** What has begun and not reached the log does not pass its check any more. */
  reset(): void {
    this.#resets++;
  }
}

function erasing(entity: string): MemplaneError {
  return new MemplaneError('erasing', `${entity} is being erased.`, {
    retryAfterMs: RETRY_MS,
    extra: { entity },
  });
}
