import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

/** How far an import of one file into one log has got: everything before it is durable there. */
export interface Checkpoint {
  readonly offset: number;
  readonly line: number;
}

interface StoredCheckpoint extends Checkpoint {
  readonly format: 1;
  readonly keyId: 0;
  readonly file: string;
  readonly logId: string;
  /** Of the file's bytes before `offset`, the last at most 64 KiB. */
  readonly tailDigest: string;
}

const TAIL_BYTES = 64 * 1024;

/**
 * Remembers, in the state folder, where an import goes on after it was cut. Losing it costs time
 * only: what was appended before is then recognised by its ids.
 */
export class CheckpointFile {
  readonly #file: string;
  readonly #logId: string;
  readonly #path: string;

  constructor(stateDir: string, file: string, logId: string) {
    this.#file = resolve(file);
    this.#logId = logId;
    const name = createHash('sha256').update(`${this.#file}\n${logId}`).digest('hex');
    this.#path = join(stateDir, 'imports', `${name.slice(0, 32)}.json`);
  }

  /** Undefined where there is none, or where the file is no longer the one it was. */
  async load(): Promise<Checkpoint | undefined> {
    try {
      const stored = JSON.parse(readFileSync(this.#path, 'utf8')) as StoredCheckpoint;
      if (stored.format !== 1 || stored.logId !== this.#logId) return undefined;
      if ((await stat(this.#file)).size < stored.offset) return undefined;
      if ((await tailDigest(this.#file, stored.offset)) !== stored.tailDigest) return undefined;
      return { offset: stored.offset, line: stored.line };
    } catch {
      return undefined;
    }
  }

  async save(checkpoint: Checkpoint): Promise<void> {
    const stored: StoredCheckpoint = {
      format: 1,
      keyId: 0,
      file: this.#file,
      logId: this.#logId,
      ...checkpoint,
      tailDigest: await tailDigest(this.#file, checkpoint.offset),
    };
    mkdirSync(dirname(this.#path), { recursive: true });
    writeFileSync(`${this.#path}.tmp`, JSON.stringify(stored));
    renameSync(`${this.#path}.tmp`, this.#path);
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }
}

async function tailDigest(file: string, end: number): Promise<string> {
  const handle = await open(file, 'r');
  try {
    const length = Math.min(TAIL_BYTES, end);
    const bytes = Buffer.alloc(length);
    await handle.read(bytes, 0, length, end - length);
    return createHash('sha256').update(bytes).digest('hex');
  } finally {
    await handle.close();
  }
}
