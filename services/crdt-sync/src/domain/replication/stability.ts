import type { Claim, Incarnation, ReadonlyVector } from '@memplane/crdt';

/** What is known of another replica at a moment. */
export interface Heard {
  readonly life: number;
  readonly vector: ReadonlyVector;
  /** When it was told, on the clock that samples are taken by. */
  readonly atMs: number;
}

/** A replica whose storage syncs later than it answers has by then what it told. */
const SETTLED_MS = 10_000;

/**
 * Which commits all others have, durably: causal stability, by what each has told of itself in the
 * life that it is still in, a while ago. What a life has told it can not lose any more then.
 */
export class Stability {
  readonly #latest = new Map<string, Heard>();
  readonly #settled = new Map<string, Heard>();

  /** To be called now and then. */
  sample(id: string, heard: Heard): void {
    const latest = this.#latest.get(id);
    if (latest?.life !== heard.life) this.#settled.delete(id);
    else if (heard.atMs - latest.atMs < SETTLED_MS) return;
    else this.#settled.set(id, latest);
    this.#latest.set(id, { ...heard, vector: new Map<Incarnation, number>(heard.vector) });
  }

  /** When a replica told what it is known to have durably; undefined where it has not yet. */
  toldMs(id: string): number | undefined {
    return this.#settled.get(id)?.atMs;
  }

  /** Whether each of these replicas had a claim's commit when it last told, at `sinceMs` or later. */
  isStable({ incarnation, commit }: Claim, sinceMs: number, replicas: readonly string[]): boolean {
    return replicas.every((id) => {
      const settled = this.#settled.get(id);
      if (settled === undefined || settled.atMs < sinceMs) return false;
      return (settled.vector.get(incarnation) ?? 0) >= commit;
    });
  }
}
