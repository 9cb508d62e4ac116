import type { Alerts } from '../alerts.ts';

export const PARTITION = 'partition';
/** Between the ids of a subject; no id has it. */
const SEPARATOR = ',';

export interface PartitionAlertOptions {
  readonly alerts: Pick<Alerts, 'raise' | 'clear'>;
  /** How long what is seen must hold before it is told: all sides of one cut are one alert. */
  readonly gatherMs: number;
  /** So long at most that is awaited. */
  readonly gatherMsMax: number;
  /** How long one that got better, or is seen otherwise, must hold: others may be heard soon. */
  readonly holdMs: number;
  /** The subject of one that stands since before the start. */
  readonly before?: string | undefined;
}

interface Pending {
  readonly shape: string;
  readonly sinceMs: number;
  /** Since when something is to be told. */
  readonly firstMs: number;
}

/**
 * One alert for one cut. It is raised once its shape holds, cleared as soon as all are heard, and
 * gives way to another one when the cut changes its shape.
 */
export class PartitionAlert {
  readonly #options: PartitionAlertOptions;
  #raised: { readonly ids: readonly string[]; readonly shape: string } | undefined;
  #pending: Pending | undefined;

  constructor(options: PartitionAlertOptions) {
    this.#options = options;
    const ids = options.before === undefined ? [] : idsOf(options.before);
    if (ids.length > 0) this.#raised = { ids, shape: '' };
  }

  /** Those that are not heard, while an alert about them stands. */
  get ids(): readonly string[] {
    return this.#raised?.ids ?? [];
  }

  /**
   * @param ids who is cut off, in order
   * @param isInDoubt whether more may be about to be
   */
  look(nowMs: number, ids: readonly string[], isInDoubt: boolean, detail: () => string): void {
    if (ids.length === 0) {
      this.end();
      return;
    }
    const words = detail();
    const shape = `${subjectOf(ids)}\n${words}`;
    if (this.#raised?.shape === shape) {
      this.#pending = undefined;
      return;
    }
    if (this.#pending?.shape !== shape) {
      this.#pending = { shape, sinceMs: nowMs, firstMs: this.#pending?.firstMs ?? nowMs };
    }
    if (this.#isReady(nowMs, ids, isInDoubt, this.#pending)) this.#raise(ids, shape, words);
  }

  /** Nobody is cut off. */
  end(): void {
    this.#pending = undefined;
    if (this.#raised !== undefined) this.#clear(this.#raised.ids);
    this.#raised = undefined;
  }

  #isReady(nowMs: number, ids: readonly string[], isInDoubt: boolean, pending: Pending): boolean {
    const { gatherMs, gatherMsMax, holdMs } = this.#options;
    const heldMs = nowMs - pending.sinceMs;
    const isWorse = ids.some((id) => !this.ids.includes(id));
    if (!isWorse) return heldMs >= holdMs;
    return (heldMs >= gatherMs && !isInDoubt) || nowMs - pending.firstMs >= gatherMsMax;
  }

  #raise(ids: readonly string[], shape: string, detail: string): void {
    const { alerts } = this.#options;
    const before = this.#raised?.ids;
    if (before !== undefined && subjectOf(before) !== subjectOf(ids)) this.#clear(before);
    alerts.raise(PARTITION, detail, subjectOf(ids));
    this.#raised = { ids, shape };
    this.#pending = undefined;
  }

  #clear(ids: readonly string[]): void {
    this.#options.alerts.clear(PARTITION, subjectOf(ids));
  }
}

function subjectOf(ids: readonly string[]): string {
  return ids.join(SEPARATOR);
}

function idsOf(subject: string): string[] {
  return subject.split(SEPARATOR).filter((id) => id !== '');
}
