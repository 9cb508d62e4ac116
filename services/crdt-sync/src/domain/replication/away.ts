import type { Alerts } from '../alerts.ts';

export const AWAY = 'replica_away';

export interface AwayOptions {
  readonly alerts: Pick<Alerts, 'raise' | 'clear' | 'list'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** From so long on a replica that tells nothing is away. */
  readonly afterMs: number;
  readonly op_ids_per_counter_max: number;
}

/**
 * Which replicas keep operation ids from being forgotten: those that are expected, and have told
 * nothing for longer than ids have to be remembered. An alert stands for each, over restarts too,
 * until it tells again or is forgotten.
 */
export class Away {
  readonly #options: AwayOptions;
  readonly #beganMs: number;
  #ids: readonly string[];

  constructor(options: AwayOptions) {
    this.#options = options;
    this.#beganMs = options.now();
    this.#ids = options.alerts
      .list()
      .filter(({ clearedAt, code }) => code === AWAY && clearedAt === undefined)
      .map(({ subject = '' }) => subject);
  }

  get ids(): readonly string[] {
    return this.#ids;
  }

  /**
   * To be called now and then.
   * @param toldMs when a replica told what it has durably, in milliseconds since 1970; undefined
   * where it has not since this start
   */
  update(expected: readonly string[], toldMs: (id: string) => number | undefined): void {
    const { afterMs, alerts, now, op_ids_per_counter_max } = this.#options;
    const nowMs = now();
    const away = expected.filter((id) => {
      const told = toldMs(id);
      const isStill = told === undefined && this.#ids.includes(id);
      return isStill || nowMs - Math.max(this.#beganMs, told ?? 0) > afterMs;
    });
    for (const id of this.#ids) if (!away.includes(id)) alerts.clear(AWAY, id);
    for (const id of away) {
      if (this.#ids.includes(id)) continue;
      alerts.raise(
        AWAY,
        `Replica ${id} is expected, and has told nothing for ${Math.round(afterMs / 1_000)} s. ` +
          'Until it is back, or is forgotten by an operator, counters forget no operation ids: one ' +
          `that remembers ${op_ids_per_counter_max} refuses new ones (opid_memory_full).`,
        id,
      );
    }
    this.#ids = away;
  }
}
