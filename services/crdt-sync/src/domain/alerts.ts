import { type CrdtAlert, crdtAlertSchema } from '@memplane/contracts';
import { z } from 'zod';

/** An alert as it is kept: `unpublished` until the topic has it as it is now. */
export const keptAlertSchema = crdtAlertSchema.extend({
  unpublished: z.literal(true).optional(),
});
export type KeptAlert = z.infer<typeof keptAlertSchema>;

/** Where alerts outlast the service. All of them are one small record, oldest first. */
export interface AlertStore {
  loadAlerts(): Promise<KeptAlert[]>;
  /** Durable when it resolves. @throws MemplaneError `storage_full`, `storage_unavailable` */
  saveAlerts(alerts: readonly KeptAlert[]): Promise<void>;
  /** Those of the other instances that share the storage. @throws as `saveAlerts` */
  loadOthers(): Promise<KeptAlert[]>;
}

export interface AlertsOptions {
  readonly alerts_max: number;
  readonly now: () => number;
  readonly store: AlertStore;
  /** Those that the store has, oldest first. */
  readonly before: readonly KeptAlert[];
  /** Whether somebody publishes them, so that they are marked until that is done. */
  readonly arePublished: boolean;
}

/**
 * The newest `alerts_max` alerts. The same alert raised again is counted, not repeated. They are
 * kept at once in memory, and durably as soon as the storage takes them: an alert may be about it.
 */
export class Alerts {
  readonly #options: AlertsOptions;
  readonly #byKey = new Map<string, KeptAlert>();
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
      ...(this.#options.arePublished ? { unpublished: true } : {}),
    });
    this.#unsaved = true;
  }

  /** What an alert is about is well again; it stays in the list, with the time. */
  clear(code: string, subject?: string): void {
    const before = this.#byKey.get(keyOf({ code, ...(subject === undefined ? {} : { subject }) }));
    if (before === undefined || before.clearedAt !== undefined) return;
    this.#put({
      ...before,
      clearedAt: new Date(this.#options.now()).toISOString(),
      ...(this.#options.arePublished ? { unpublished: true } : {}),
    });
    this.#unsaved = true;
  }

  /** This instance's, newest first. */
  list(): CrdtAlert[] {
    return [...this.#byKey.values()].reverse().map(shown);
  }

  /** With those of other instances. @throws MemplaneError as the store does */
  async listAll(): Promise<CrdtAlert[]> {
    const others = (await this.#options.store.loadOthers()).map(shown);
    const last = ({ clearedAt, time }: CrdtAlert) => clearedAt ?? time;
    // Stable: those of one instance keep their order where their times are equal.
    const all = [...this.list(), ...others];
    return others.length === 0 ? all : all.sort((a, b) => (last(a) < last(b) ? 1 : -1));
  }

  /** Those that the topic does not have as they are now, oldest first. */
  unpublished(): KeptAlert[] {
    return [...this.#byKey.values()].filter((alert) => alert.unpublished);
  }

  /** @param alerts what {@link unpublished} gave; one that has changed since stays unpublished */
  markPublished(alerts: readonly KeptAlert[]): void {
    for (const alert of alerts) {
      const key = keyOf(alert);
      if (this.#byKey.get(key) !== alert) continue;
      this.#byKey.set(key, shown(alert));
      this.#unsaved = true;
    }
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

  #put(alert: KeptAlert): void {
    const key = keyOf(alert);
    this.#byKey.delete(key);
    this.#byKey.set(key, alert);
    if (this.#byKey.size <= this.#options.alerts_max) return;
    const [oldest] = this.#byKey.keys();
    if (oldest !== undefined) this.#byKey.delete(oldest);
  }
}

/** Without what is only for keeping. */
export function shown({ unpublished: _, ...alert }: KeptAlert): CrdtAlert {
  return alert;
}

function keyOf({ code, subject }: Pick<CrdtAlert, 'code' | 'subject'>): string {
  return `${code}\n${subject ?? ''}`;
}
