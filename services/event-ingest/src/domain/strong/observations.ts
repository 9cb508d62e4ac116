interface Observation {
  readonly version: string;
  readonly sinceMs: number;
}

/**
 * How long records were seen at one version, by a clock that only rises. What was not looked at for
 * long is forgotten, and then has to be seen anew: a lease is taken over later, never earlier.
 */
export class Observations {
  readonly #seen = new Map<string, Observation>();
  readonly #keysMax: number;

  constructor(keysMax: number) {
    this.#keysMax = keysMax;
  }

  /** @param nowMs when the version was read, or later */
  isUnchangedFor(key: string, version: string, ms: number, nowMs: number): boolean {
    const before = this.#seen.get(key);
    if (before?.version === version) return nowMs - before.sinceMs >= ms;
    this.#seen.delete(key);
    this.#seen.set(key, { version, sinceMs: nowMs });
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > this.#keysMax && oldest !== undefined) this.#seen.delete(oldest);
    return false;
  }
}
