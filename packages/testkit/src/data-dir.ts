import { mkdtempSync, rmSync } from 'node:fs';
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
