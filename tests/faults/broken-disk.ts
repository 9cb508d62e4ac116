import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../../', import.meta.url));

function run(program: string, ...args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** A real file system of a fixed size, which can be filled up. Needs root. */
export class SmallDisk implements Disposable {
  readonly path: string;
  readonly #ballast: string;

  constructor(mebibytes: number) {
    this.path = mkdtempSync(join(tmpdir(), 'memplane-small-disk-'));
    this.#ballast = join(this.path, 'ballast');
    try {
      run('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'memplane-test', this.path);
    } catch (cause) {
      throw new Error('a full disk is tested on a small tmpfs, which only root may mount', {
        cause,
      });
    }
  }

  /** Fills the disk to the last block. */
  fill(): void {
    const { bfree, bsize } = statfsSync(this.path);
    const block = Buffer.alloc(bsize, 7);
    const parts: Buffer[] = Array.from({ length: bfree }, () => block);
    try {
      writeFileSync(this.#ballast, Buffer.concat(parts));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }

  get freeBytes(): number {
    const { bfree, bsize } = statfsSync(this.path);
    return bfree * bsize;
  }

  /** Gives the space back. */
  clear(): void {
    rmSync(this.#ballast, { force: true });
  }

  remountReadOnly(): void {
    run('mount', '-o', 'remount,ro', this.path);
  }

  [Symbol.dispose](): void {
    run('umount', '-l', this.path);
    rmSync(this.path, { recursive: true, force: true });
  }
}

/**
 * A folder that can be made read-only under a running program: the immutable attribute refuses
 * writes to files that are open already, which a remount would not dare to do. Needs root, and a
 * file system with that attribute.
 */
export class FreezableFolder implements Disposable {
  readonly path: string;

  constructor() {
    this.path = firstThatFreezes([tmpdir(), '/var/tmp', join(repository, '.cache'), '/dev/shm']);
  }

  freeze(): void {
    run('chattr', '-R', '+i', this.path);
  }

  thaw(): void {
    run('chattr', '-R', '-i', this.path);
  }

  [Symbol.dispose](): void {
    this.thaw();
    rmSync(this.path, { recursive: true, force: true });
  }
}

function firstThatFreezes(parents: readonly string[]): string {
  const why: string[] = [];
  for (const parent of parents) {
    mkdirSync(parent, { recursive: true });
    const folder = mkdtempSync(join(parent, 'memplane-frozen-'));
    try {
      run('chattr', '+i', folder);
      run('chattr', '-i', folder);
      return folder;
    } catch (error) {
      why.push(`${parent}: ${error instanceof Error ? error.message : error}`);
      rmSync(folder, { recursive: true });
    }
  }
  throw new Error(`a read-only folder is tested with chattr +i as root:\n${why.join('\n')}`);
}
