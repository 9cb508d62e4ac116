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

/** The folders of the stores that are derived from the log and its archive. */
const DERIVED = new Set(['views', 'vectors']);

/** Removes every derived store (views, vectors, text) of a plane that has ended. */
export function removeDerivedStores(dataDir: string): string[] {
  const removed = readdirSync(dataDir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && DERIVED.has(entry.name))
    .map((entry) => entry.name);
  for (const name of removed) rmSync(join(dataDir, name), { recursive: true });
  return removed;
}
