import type { Slot } from './slot.ts';

/**
 * The hot names, bounded by roughly `bytesMax` of memory: two generations, of which the older is
 * dropped when the younger has filled half. What is used moves to the younger.
 */
export class SlotCache {
  readonly #bytesMax: number;
  #young = new Map<string, Slot>();
  #old = new Map<string, Slot>();
  #youngBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: string): Slot | undefined {
    const slot = this.#young.get(key);
    if (slot !== undefined) return slot;
    const old = this.#old.get(key);
    if (old !== undefined) {
      this.#old.delete(key);
      this.put(key, old);
    }
    return old;
  }

  /** Adds a slot, or weighs it anew. */
  put(key: string, slot: Slot): void {
    const before = this.#young.get(key) === slot ? slot.keptBytes : 0;
    slot.keptBytes = slot.weight;
    this.#youngBytes += slot.keptBytes - before;
    this.#young.set(key, slot);
    if (this.#youngBytes <= this.#bytesMax / 2) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngBytes = 0;
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngBytes = 0;
  }
}
