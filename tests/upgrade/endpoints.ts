import { DatabaseSync } from 'node:sqlite';

/** What a sidecar that may not be called is called meanwhile. */
const HIDDEN = '-not-ready';
const BUSY_MS = 5_000;

/**
 * Plays the endpoints of a cluster: which sidecars others may find. Here they find each other in a file
 * of SQLite, by the name that each writes itself. A pod is there once it is ready, and no longer once
 * it is told to go, as in a cluster; its registration stays, or its sidecar would end itself.
 */
export class Endpoints implements Disposable {
  readonly #names: DatabaseSync;

  /** @param file of a stack in which one sidecar has started: that one makes the table */
  constructor(file: string) {
    this.#names = new DatabaseSync(file, { timeout: BUSY_MS });
    // Nobody finds a pod between its registration and its hiding: there is no between.
    this.#names.exec(`CREATE TRIGGER new_pods AFTER INSERT ON hosts BEGIN
      UPDATE hosts SET app_id = app_id || '${HIDDEN}' WHERE registration_id = NEW.registration_id;
    END`);
  }

  add(address: string): void {
    this.#rename(address, `replace(app_id, '${HIDDEN}', '')`);
  }

  remove(address: string): void {
    this.#rename(address, `app_id || '${HIDDEN}'`);
  }

  #rename(address: string, appId: string): void {
    const update = `UPDATE hosts SET app_id = ${appId} WHERE address LIKE ?`;
    const { changes } = this.#names.prepare(update).run(`${address}:%`);
    if (Number(changes) !== 1) throw new Error(`${changes} sidecars at ${address}`);
  }

  [Symbol.dispose](): void {
    this.#names.close();
  }
}
