import type { AlertStore, KeptAlert } from '../../domain/alerts.ts';
import { keptAlertSchema } from '../../domain/alerts.ts';
import { damaged, openBare, sealBare } from './redis-records.ts';
import type { RedisStore } from './redis-store.ts';

/** Each instance has a list of its own, which nobody else writes. */
export class RedisAlerts implements AlertStore {
  readonly #store: RedisStore;
  readonly #instance: string;

  constructor(store: RedisStore, instance: string) {
    this.#store = store;
    this.#instance = instance;
  }

  async loadAlerts(): Promise<KeptAlert[]> {
    const list = (await this.#store.loadAlertLists()).get(this.#instance);
    return list === undefined ? [] : read(list);
  }

  async saveAlerts(alerts: readonly KeptAlert[]): Promise<void> {
    await this.#store.saveAlertList(this.#instance, sealBare(Buffer.from(JSON.stringify(alerts))));
  }

  async loadOthers(): Promise<KeptAlert[]> {
    const lists = await this.#store.loadAlertLists();
    lists.delete(this.#instance);
    return [...lists.values()].flatMap(read);
  }
}

function read(list: Buffer): KeptAlert[] {
  try {
    return keptAlertSchema.array().parse(JSON.parse(openBare(list).toString()));
  } catch {
    throw damaged('a list of alerts');
  }
}
