import type { CrdtAlert } from '@memplane/contracts';

/** The newest `alerts_max` alerts. The same alert raised again is counted, not repeated. */
export class Alerts {
  readonly #max: number;
  readonly #now: () => number;
  readonly #byKey = new Map<string, CrdtAlert>();

  constructor(options: { readonly alerts_max: number; readonly now: () => number }) {
    this.#max = options.alerts_max;
    this.#now = options.now;
  }

  raise(code: string, detail: string, subject?: string): void {
    const key = `${code}\n${subject ?? ''}`;
    const before = this.#byKey.get(key);
    this.#byKey.delete(key);
    this.#byKey.set(key, {
      time: before?.time ?? new Date(this.#now()).toISOString(),
      code,
      detail,
      ...(subject === undefined ? {} : { subject }),
      count: (before?.count ?? 0) + 1,
    });
    if (this.#byKey.size <= this.#max) return;
    const [oldest] = this.#byKey.keys();
    if (oldest !== undefined) this.#byKey.delete(oldest);
  }

  /** Newest first. */
  list(): CrdtAlert[] {
    return [...this.#byKey.values()].reverse();
  }
}
