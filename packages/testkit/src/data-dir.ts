import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A new folder under the system's temporary one, removed when disposed. */
export class ScratchFolder implements Disposable {
  readonly path: string;

  constructor(name: string) {
    this.path = mkdtempSync(
      join(process.env['MEMPLANE_TEST_TMP'] ?? tmpdir(), `memplane-${name}-`),
    );
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** What must stay when the derived stores are removed: the log, its archive, the clock, the CRDTs. */
const TRUTH = new Set(['log', 'archive', 'event-ingest', 'crdt-sync', 'blobs']);

/** Removes every derived store (views, vectors, text) of a plane that has ended. */
export function removeDerivedStores(dataDir: string): string[] {
  const removed = readdirSync(dataDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !TRUTH.has(entry.name))
    .map((entry) => entry.name);
  for (const name of removed) rmSync(join(dataDir, name), { recursive: true });
  return removed;
}
