import { constants, type PathLike } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { NativeWalFile } from './native.ts';

const WAL_FILE = /^(\d+)\.log$/;

/**
 * Makes what was written durable, since the binding can't ask RocksDB to. RocksDB hands each write
 * to the operating system before it answers, so an fdatasync of the write-ahead files is enough.
 *
 * Recovery stops at the first gap, so a synced file is only as good as every file before it: each
 * run syncs all live files from the last one synced up to the current one, and the folder when a
 * file is new. One that is gone was flushed into a table, which RocksDB syncs itself.
 *
 * Callers that overlap share a run: whoever comes while one is under way waits for the next.
 */
export class WalSync {
  readonly #dir: string;
  readonly #current: () => Promise<NativeWalFile>;
  #file: { readonly number: number; readonly handle: FileHandle } | undefined;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #runs = 0;

  constructor(dir: string, current: () => Promise<NativeWalFile>) {
    this.#dir = dir;
    this.#current = current;
  }

  /** Resolves when every write answered before this call is durable. */
  sync(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    if (this.#next === undefined) {
      const start = () => this.#start();
      this.#next = this.#running.then(start, start);
    }
    return this.#next;
  }

  /** How many times the disk was asked; fewer than calls when they overlap. */
  get runs(): number {
    return this.#runs;
  }

  async close(): Promise<void> {
    await this.#running?.catch(() => {});
    await this.#next?.catch(() => {});
    await this.#file?.handle.close();
    this.#file = undefined;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const run = this.#run().finally(() => {
      if (this.#running === run) this.#running = undefined;
    });
    this.#running = run;
    return run;
  }

  async #run(): Promise<void> {
    this.#runs++;
    const { number } = await this.#current();
    if (this.#file?.number === number) return this.#file.handle.datasync();
    await this.#syncFrom(this.#file?.number ?? 0, number);
  }

  async #syncFrom(first: number, last: number): Promise<void> {
    const numbers = (await readdir(this.#dir))
      .map((name) => Number(WAL_FILE.exec(name)?.[1] ?? Number.NaN))
      .filter((number) => number >= first && number <= last)
      .sort((a, b) => a - b);
    let current: FileHandle | undefined;
    for (const number of numbers) {
      const handle = await openIfThere(join(this.#dir, `${String(number).padStart(6, '0')}.log`));
      if (handle === undefined) continue;
      try {
        await handle.datasync();
      } catch (error) {
        await handle.close();
        throw error;
      }
      if (number === last) current = handle;
      else await handle.close();
    }
    await syncFolder(this.#dir);
    await this.#file?.handle.close();
    this.#file = current === undefined ? undefined : { number: last, handle: current };
  }
}

async function openIfThere(path: PathLike): Promise<FileHandle | undefined> {
  try {
    return await open(path, constants.O_RDWR);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(dir, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
