import { partitionKey } from '@memplane/contracts';
import { partitionOf } from '@memplane/event-log';
import type { Database } from './database.ts';

/**
 * The partitions that a tenant's entities are in, in a log that grew. Rows tell the one that they came
 * in, which is another one where the entity has moved since; read when it is first asked for.
 */
export class EntityPartitions {
  readonly #db: Database;
  readonly #tenant: string;
  readonly #partitions: number;
  /** By the number of the entity. Those that came later are where their rows say. */
  #known: Uint16Array | undefined;

  /** @param partitions how many the log has */
  constructor(db: Database, tenant: string, partitions: number) {
    this.#db = db;
    this.#tenant = tenant;
    this.#partitions = partitions;
  }

  /** Undefined: where its rows say. */
  of(entityRef: number): number | undefined {
    this.#known ??= this.#read();
    return this.#known[entityRef];
  }

  #read(): Uint16Array {
    const counted = this.#db
      .sql('SELECT max(ref) AS last FROM entities WHERE tenant = ?')
      .get(this.#tenant);
    const known = new Uint16Array(Number(counted?.['last'] ?? -1) + 1);
    const all = this.#db
      .sql('SELECT ref, entity FROM entities WHERE tenant = ?')
      .iterate(this.#tenant);
    for (const { ref, entity } of all) {
      const key = partitionKey(this.#tenant, String(entity));
      known[Number(ref)] = partitionOf(key, this.#partitions);
    }
    return known;
  }
}
