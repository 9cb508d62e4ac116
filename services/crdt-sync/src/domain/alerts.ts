import type { CrdtAlert } from '@memplane/contracts';

/** Where alerts outlast the service. All of them are one small record, oldest first. */
export interface AlertStore {
  loadAlerts(): Promise<CrdtAlert[]>;
  /** Durable when it resolves. @throws MemplaneError `storage_full`, `storage_unavailable` */
  saveAlerts(alerts: readonly CrdtAlert[]): Promise<void>;
}

export interface AlertsOptions {
  readonly alerts_max: number;
  readonly now: () => number;
  readonly store: AlertStore;
  /** Those that the store has, oldest first. */
  readonly before: readonly CrdtAlert[];
}

/**
 * The newest `alerts_max` alerts. The same alert raised again is counted, not repeated. They are
 * kept at once in memory, and durably as soon as the storage takes them: an alert may be about it.
 */
export class Alerts {
  readonly #options: AlertsOptions;
  readonly #byKey = new Map<string, CrdtAlert>();
  #unsaved = false;
  #saving: Promise<void> | undefined;

  constructor(options: AlertsOptions) {
    this.#options = options;
    for (const alert of options.before) this.#put(alert);
  }

  raise(code: string, detail: string, subject?: string): void {
    const before = this.#byKey.get(keyOf({ code, ...(subject === undefined ? {} : { subject }) }));
    this.#put({
      time: before?.time ?? new Date(this.#options.now()).toISOString(),
      code,
      detail,
      ...(subject === undefined ? {} : { subject }),
      count: (before?.count ?? 0) + 1,
    });
    this.#unsaved = true;
  }

  /** Newest first. */
  list(): CrdtAlert[] {
    return [...this.#byKey.values()].reverse();
  }

  get unsaved(): boolean {
    return this.#unsaved;
  }

  /**
   * Makes durable what has been raised; those who call meanwhile share the next writing.
   * @throws MemplaneError what the store throws; then the alerts stay unsaved.
   */
  async save(): Promise<void> {
    while (this.#saving !== undefined) await this.#saving.catch(() => {});
    if (!this.#unsaved) return;
    this.#unsaved = false;
    this.#saving = this.#options.store.saveAlerts([...this.#byKey.values()]);
    try {
      await this.#saving;
    } catch (error) {
      this.#unsaved = true;
      throw error;
    } finally {
      this.#saving = undefined;
    }
  }

  #put(alert: CrdtAlert): void {
    const key = keyOf(alert);
    this.#byKey.delete(key);
    this.#byKey.set(key, alert);
    if (this.#byKey.size <= this.#options.alerts_max) return;
    const [oldest] = this.#byKey.keys();
    if (oldest !== undefined) this.#byKey.delete(oldest);
  }
}

function keyOf({ code, subject }: Pick<CrdtAlert, 'code' | 'subject'>): string {
  return `${code}\n${subject ?? ''}`;
}
