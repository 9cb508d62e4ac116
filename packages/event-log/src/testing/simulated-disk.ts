import path from 'node:path';
import type { FileSystem, LogFile, OpenMode } from '../embedded/file-system.ts';

const SECTOR = 512;

/** A file as the page cache shows it, and as the disk would show it after a loss of power. */
class Inode {
  cached: Buffer = Buffer.alloc(0);
  durable: Buffer = Buffer.alloc(0);
  /** Sectors of `cached` that a sync still has to write. */
  dirty = new Set<number>();

  resize(length: number): void {
    const next = Buffer.alloc(length);
    this.cached.copy(next, 0, 0, Math.min(length, this.cached.length));
    this.cached = next;
  }

  write(bytes: Uint8Array, at: number): void {
    if (at + bytes.length > this.cached.length) this.resize(at + bytes.length);
    this.cached.set(bytes, at);
    for (let s = Math.floor(at / SECTOR); s * SECTOR < at + bytes.length; s++) this.dirty.add(s);
  }

  persist(sectors: Iterable<number>, size: number): void {
    const next = Buffer.alloc(size);
    this.durable.copy(next, 0, 0, Math.min(size, this.durable.length));
    for (const s of sectors) {
      if (s * SECTOR >= size) continue; // cut off meanwhile
      next.set(this.cached.subarray(s * SECTOR, Math.min((s + 1) * SECTOR, size)), s * SECTOR);
    }
    this.durable = next;
  }
}

function failure(code: string): Error {
  return Object.assign(new Error(`simulated ${code}`), { code });
}

/** What goes wrong next; each is looked at by every operation that it concerns. */
export interface Faults {
  /** Bytes that all files together may have; a write beyond it is cut there, with `ENOSPC`. */
  capacityBytes: number;
  /** The codes that the next writes or syncs of matching files fail with. */
  write: { pattern: RegExp; code: string } | undefined;
  sync: { pattern: RegExp; code: string } | undefined;
  /** Syncs of matching files wait for this. */
  hold: { pattern: RegExp; until: Promise<void> } | undefined;
  /** Operations that still succeed before the machine stops. */
  operationsLeft: number;
}

/**
 * A disk that forgets as a real one may. What was not synced is lost sector by sector, at random,
 * when the power fails; names that were not synced with their folder come and go as well. A failed
 * sync leaves its sectors unwritten and forgotten, as Linux does.
 */
export class SimulatedDisk {
  readonly faults: Faults = {
    capacityBytes: Number.POSITIVE_INFINITY,
    write: undefined,
    sync: undefined,
    hold: undefined,
    operationsLeft: Number.POSITIVE_INFINITY,
  };
  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  readonly #dirs = new Set<string>();
  #boot = 0;

  /** The file system of a process started now; it is dead after the next {@link stop}. */
  boot(): FileSystem {
    this.#boot += 1;
    return new SimulatedFileSystem(this, this.#boot);
  }

  /** The file system of the process that runs now. */
  get current(): FileSystem {
    return new SimulatedFileSystem(this, this.#boot);
  }

  /** The process ends; its writes stay in the page cache. */
  kill(): void {
    this.#boot += 1;
    this.faults.operationsLeft = Number.POSITIVE_INFINITY;
  }

  /** The power fails. `chance` gives numbers in [0, 1). */
  losePower(chance: () => number): void {
    this.kill();
    const names = new Map(this.#durableNames);
    const paths = new Set([...this.#names.keys(), ...this.#durableNames.keys()]);
    for (const name of paths) {
      const [now, then] = [this.#names.get(name), this.#durableNames.get(name)];
      const survivor = chance() < 0.5 ? now : then;
      if (survivor === undefined) names.delete(name);
      else names.set(name, survivor);
    }
    for (const inode of new Set(names.values())) {
      const kept = [...inode.dirty].filter(() => chance() < 0.5);
      const [low, high] = [inode.durable.length, inode.cached.length].toSorted((a, b) => a - b);
      const size = low === high || chance() < 0.5 ? low : high;
      inode.persist(kept, size ?? 0);
      inode.cached = Buffer.from(inode.durable);
      inode.dirty.clear();
    }
    this.#names = names;
    this.#durableNames = new Map(names);
  }

  /** The page cache's bytes of a file, to look at or to spoil. */
  bytesOf(file: string): Buffer {
    return this.inode(file).cached;
  }

  setBytes(file: string, bytes: Buffer): void {
    const inode = this.inode(file);
    inode.cached = Buffer.from(bytes);
    inode.durable = Buffer.from(bytes);
    inode.dirty.clear();
  }

  /** All files with their bytes, to go back to. */
  snapshot(): Map<string, Buffer> {
    return new Map([...this.#names].map(([name, inode]) => [name, Buffer.from(inode.cached)]));
  }

  restore(snapshot: ReadonlyMap<string, Buffer>): void {
    this.#boot += 1;
    this.#names = new Map();
    for (const [name, bytes] of snapshot) {
      const inode = new Inode();
      inode.cached = Buffer.from(bytes);
      inode.durable = Buffer.from(bytes);
      this.#names.set(name, inode);
    }
    this.#durableNames = new Map(this.#names);
  }

  files(): string[] {
    return [...this.#names.keys()].sort();
  }

  // What follows is for the file system and its files.

  inode(file: string): Inode {
    const inode = this.#names.get(file);
    if (inode === undefined) throw failure('ENOENT');
    return inode;
  }

  operate(boot: number): void {
    if (boot !== this.#boot) throw failure('EIO');
    this.faults.operationsLeft -= 1;
    if (this.faults.operationsLeft < 0) {
      this.#boot += 1;
      throw failure('EIO');
    }
  }

  get isStopped(): boolean {
    return this.faults.operationsLeft < 0;
  }

  has(file: string): boolean {
    return this.#names.has(file);
  }

  create(file: string): void {
    if (!this.#names.has(file)) this.#names.set(file, new Inode());
  }

  unlink(file: string): void {
    this.#names.delete(file);
  }

  makeDir(dir: string): void {
    this.#dirs.add(dir);
  }

  list(dir: string): string[] {
    return this.files()
      .filter((file) => path.dirname(file) === dir)
      .map((file) => path.basename(file));
  }

  syncDir(dir: string): void {
    for (const name of [...this.#durableNames.keys()]) {
      if (path.dirname(name) === dir) this.#durableNames.delete(name);
    }
    for (const [name, inode] of this.#names) {
      if (path.dirname(name) === dir) this.#durableNames.set(name, inode);
    }
  }

  replace(file: string, text: string): void {
    const inode = new Inode();
    inode.write(Buffer.from(text), 0);
    inode.persist(inode.dirty, inode.cached.length);
    inode.dirty.clear();
    this.#names.set(file, inode);
    this.syncDir(path.dirname(file));
  }

  write(file: string, inode: Inode, bytes: Uint8Array, at: number): void {
    const { write, capacityBytes } = this.faults;
    const used = [...this.#names.values()].reduce((sum, one) => sum + one.cached.length, 0);
    const growth = Math.max(0, at + bytes.length - inode.cached.length);
    const room = Math.max(0, capacityBytes - used);
    if (write?.pattern.test(file)) {
      inode.write(bytes.subarray(0, bytes.length >> 1), at);
      throw failure(write.code);
    }
    if (growth > room) {
      const fits = bytes.length - (growth - room);
      if (fits > 0) inode.write(bytes.subarray(0, fits), at);
      throw failure('ENOSPC');
    }
    inode.write(bytes, at);
  }

  /** Resolves when a sync of the file may go on. */
  async held(file: string): Promise<void> {
    const { hold } = this.faults;
    if (hold?.pattern.test(file)) await hold.until;
  }

  sync(file: string, inode: Inode): void {
    const { sync } = this.faults;
    if (sync?.pattern.test(file)) {
      inode.dirty.clear();
      throw failure(sync.code);
    }
    inode.persist(inode.dirty, inode.cached.length);
    inode.dirty.clear();
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

class SimulatedFile implements LogFile {
  readonly #disk: SimulatedDisk;
  readonly #boot: number;
  readonly #file: string;
  readonly #inode: Inode;

  constructor(disk: SimulatedDisk, boot: number, file: string) {
    this.#disk = disk;
    this.#boot = boot;
    this.#file = file;
    this.#inode = disk.inode(file);
  }

  /** In two steps, so that the machine may stop between them. */
  async write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    const bytes = Buffer.concat(buffers);
    const half = bytes.length >> 1;
    for (const [from, to] of [
      [0, half],
      [half, bytes.length],
    ] as const) {
      await pause();
      this.#disk.operate(this.#boot);
      this.#disk.write(this.#file, this.#inode, bytes.subarray(from, to), position + from);
    }
  }

  writeSync(buffer: Uint8Array, position: number): void {
    this.#disk.operate(this.#boot);
    this.#disk.write(this.#file, this.#inode, Buffer.from(buffer), position);
  }

  async read(buffer: Uint8Array, length: number, position: number): Promise<number> {
    await pause();
    return this.readSync(buffer, length, position);
  }

  readSync(buffer: Uint8Array, length: number, position: number): number {
    const bytes = this.#inode.cached.subarray(position, position + length);
    buffer.set(bytes);
    return bytes.length;
  }

  async sync(): Promise<void> {
    await pause();
    await this.#disk.held(this.#file);
    this.#disk.operate(this.#boot);
    this.#disk.sync(this.#file, this.#inode);
  }

  size(): number {
    return this.#inode.cached.length;
  }

  truncate(length: number): void {
    this.#disk.operate(this.#boot);
    this.#inode.resize(length);
  }

  close(): void {}
}

class SimulatedFileSystem implements FileSystem {
  readonly #disk: SimulatedDisk;
  readonly #boot: number;

  constructor(disk: SimulatedDisk, boot: number) {
    this.#disk = disk;
    this.#boot = boot;
  }

  makeDir(dir: string): void {
    this.#disk.makeDir(dir);
  }

  list(dir: string): string[] {
    return this.#disk.list(dir);
  }

  open(file: string, mode: OpenMode): LogFile {
    if (mode === 'create' && !this.#disk.has(file)) {
      this.#disk.operate(this.#boot);
      this.#disk.create(file);
    }
    return new SimulatedFile(this.#disk, this.#boot, file);
  }

  sizeOf(file: string): number | undefined {
    return this.#disk.has(file) ? this.#disk.bytesOf(file).length : undefined;
  }

  remove(file: string): void {
    this.#disk.operate(this.#boot);
    this.#disk.unlink(file);
  }

  readText(file: string): string | undefined {
    return this.#disk.has(file) ? this.#disk.bytesOf(file).toString('utf8') : undefined;
  }

  async replaceText(file: string, text: string): Promise<void> {
    await pause();
    this.#disk.operate(this.#boot);
    this.#disk.replace(file, text);
  }

  async syncDir(dir: string): Promise<void> {
    await pause();
    this.#disk.operate(this.#boot);
    this.#disk.syncDir(dir);
  }
}
