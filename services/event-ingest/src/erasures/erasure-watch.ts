import { partitionKey } from '@memplane/contracts';
import { type OpenErasure, type OpenErasures, runnerOf } from '../domain/erasures/open-erasures.ts';
import type { EntityKeys } from '../sealing/entity-keys.ts';
import type { RegistrationCompanion } from '../strong/zone-keeper.ts';
import type { ErasedHeads } from './erased-heads.ts';
import type { ErasureGate } from './erasure-gate.ts';

export interface ErasureWatchOptions {
  readonly open: () => Promise<OpenErasures>;
  readonly gate: ErasureGate;
  /** Undefined: nothing is sealed. */
  readonly keys: EntityKeys | undefined;
  /** Undefined: nothing was ever strong. */
  readonly heads: Pick<ErasedHeads, 'forgetSeen'> | undefined;
  readonly instance: string;
  /** Which of some instances append nothing any more. */
  readonly gone: (instances: readonly string[]) => Promise<readonly string[]>;
  /** Takes over what an instance has begun that is gone; told again while that has not been done. */
  readonly onAbandoned: (entry: OpenErasure) => Promise<void>;
}

/**
 * Keeps the gate of one instance among several to the erasures that are on their way into the log:
 * their entities take nothing, and once nothing of them is under way and their keys are forgotten
 * here, that is confirmed with the registration of the instance. Whoever erases waits until all have.
 */
export class ErasureWatch implements RegistrationCompanion {
  readonly #options: ErasureWatchOptions;
  /** Erasures by their ids, and whether nothing of the entity is under way here. */
  readonly #blocks = new Map<string, { readonly entry: OpenErasure; isDrained: boolean }>();

  constructor(options: ErasureWatchOptions) {
    this.#options = options;
  }

  get confirmed(): readonly string[] {
    return [...this.#blocks].flatMap(([id, { isDrained }]) => (isDrained ? [id] : []));
  }

  /** Others wait for what is confirmed here. */
  get isAwaited(): boolean {
    return this.#blocks.size > 0;
  }

  async look(): Promise<void> {
    const { gate, heads } = this.#options;
    const open = await this.#options.open();
    const appending = new Map(
      open.filter(({ isAppending }) => isAppending).map((entry) => [entry.id, entry]),
    );
    for (const entry of appending.values()) if (!this.#blocks.has(entry.id)) this.#block(entry);
    for (const [id, { entry }] of this.#blocks) {
      if (appending.has(id)) continue;
      this.#blocks.delete(id);
      const { tenant, entity = '' } = entry;
      // A lease may have had a look at its head meanwhile.
      heads?.forgetSeen({ tenant, entity });
      gate.unblock(tenant, entity, id);
    }
    await this.#lookForAbandoned(open);
  }

  /** What was erased meanwhile can't be told any more. */
  lapsed(): void {
    this.#options.gate.reset();
    this.#options.keys?.forgetAll();
    this.#options.heads?.forgetSeen();
  }

  #block(entry: OpenErasure): void {
    const { gate, keys, heads } = this.#options;
    const { tenant, id, entity = '' } = entry;
    const block = { entry, isDrained: false };
    this.#blocks.set(id, block);
    gate.block(tenant, entity, id);
    void gate.drained().then(() => {
      keys?.forget(partitionKey(tenant, entity));
      heads?.forgetSeen({ tenant, entity });
      block.isDrained = true;
    });
  }

  async #lookForAbandoned(open: OpenErasures): Promise<void> {
    const { instance, gone, onAbandoned } = this.#options;
    const others = new Set(open.map(runnerOf));
    others.delete(instance);
    if (others.size === 0) return;
    const left = new Set(await gone([...others]));
    for (const entry of open) if (left.has(runnerOf(entry))) await onAbandoned(entry);
  }
}
