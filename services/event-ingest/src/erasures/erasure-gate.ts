import { MemplaneError, partitionKey } from '@memplane/contracts';
import { UnderWay } from '../domain/under-way.ts';

const RETRY_MS = 200;

/**
 * Appends pass through it, so that none is under way on an entity when its erasure is put into the
 * log: what came before is before it, and what comes after has another key.
 */
export class ErasureGate {
  /** By partition key: entities whose erasure is on its way into the log. */
  readonly #blocked = new Set<string>();
  readonly #appends = new UnderWay();

  /**
   * An append begins, and ends with what is returned.
   * @throws MemplaneError `erasing`
   */
  begin(tenant: string, events: readonly { readonly entity: string }[]): () => void {
    if (this.#blocked.size > 0) {
      for (const { entity } of events) {
        if (!this.#blocked.has(partitionKey(tenant, entity))) continue;
        throw new MemplaneError('erasing', `${entity} is being erased.`, {
          retryAfterMs: RETRY_MS,
          extra: { entity },
        });
      }
    }
    return this.#appends.begin();
  }

  /** No append to the entity begins any more. */
  block(tenant: string, entity: string): void {
    this.#blocked.add(partitionKey(tenant, entity));
  }

  unblock(tenant: string, entity: string): void {
    this.#blocked.delete(partitionKey(tenant, entity));
  }

  /** Resolves when all that began before this has ended. */
  drained(): Promise<void> {
    return this.#appends.drained();
  }
}
