import type { FileSystem, LogFile } from './file-system.ts';

interface CachedFile {
  readonly file: LogFile;
  users: number;
  isDropped: boolean;
}

/** Files kept open for reading, the least recently used closed first; never one in use. */
export class FileCache {
  readonly #fs: FileSystem;
  readonly #openFilesMax: number;
  readonly #files = new Map<string, CachedFile>();

  constructor(fs: FileSystem, openFilesMax: number) {
    this.#fs = fs;
    this.#openFilesMax = openFilesMax;
  }

  /** Runs `use` with the file open. A missing file is Node's `ENOENT`. */
  async use<T>(path: string, use: (file: LogFile) => Promise<T>): Promise<T> {
    const cached = this.#take(path);
    cached.users += 1;
    try {
      return await use(cached.file);
    } finally {
      cached.users -= 1;
      if (cached.isDropped && cached.users === 0) cached.file.close();
    }
  }

  /** The same for a use that does not wait for anything. */
  useSync<T>(path: string, use: (file: LogFile) => T): T {
    return use(this.#take(path).file);
  }

  close(): void {
    for (const path of [...this.#files.keys()]) this.#drop(path);
  }

  #take(path: string): CachedFile {
    const known = this.#files.get(path);
    if (known !== undefined) {
      this.#files.delete(path);
      this.#files.set(path, known);
      return known;
    }
    const cached = { file: this.#fs.open(path, 'read'), users: 0, isDropped: false };
    this.#files.set(path, cached);
    if (this.#files.size > this.#openFilesMax) {
      for (const oldest of this.#files.keys()) {
        if (oldest !== path) this.#drop(oldest);
        break;
      }
    }
    return cached;
  }

  #drop(path: string): void {
    const cached = this.#files.get(path);
    if (cached === undefined) return;
    this.#files.delete(path);
    cached.isDropped = true;
    if (cached.users === 0) cached.file.close();
  }
}
