import fs from 'node:fs';
import path from 'node:path';

/**
 * What the embedded log asks of a file system. Tests put a simulated disk in its place. Positions
 * and lengths are in bytes; failures are Node's own errors with their `code`.
 */
export interface LogFile {
  /** Writes all buffers one after the other; a failure may leave any part of them written. */
  write(buffers: readonly Uint8Array[], position: number): Promise<void>;
  writeSync(buffer: Uint8Array, position: number): void;
  /** Reads up to `length` bytes into `buffer` from its beginning; fewer only at the end. */
  read(buffer: Uint8Array, length: number, position: number): Promise<number>;
  readSync(buffer: Uint8Array, length: number, position: number): number;
  /** Resolves once everything written is on the disk (fdatasync). */
  sync(): Promise<void>;
  size(): number;
  truncate(length: number): void;
  close(): void;
}

export type OpenMode = 'read' | 'write' | 'create';

export interface FileSystem {
  makeDir(dir: string): void;
  list(dir: string): string[];
  /** `write` opens an existing file, `create` makes it when it is missing; neither empties it. */
  open(file: string, mode: OpenMode): LogFile;
  /** The size of a file in bytes, undefined when there is none. */
  sizeOf(file: string): number | undefined;
  remove(file: string): void;
  readText(file: string): string | undefined;
  /** Puts a text in the place of a file: either the old or the new one is there, and durable. */
  replaceText(file: string, text: string): Promise<void>;
  /** Makes the names in a folder durable. */
  syncDir(dir: string): Promise<void>;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

class NodeFile implements LogFile {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(buffers: readonly Uint8Array[], position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const attempt = (rest: readonly Uint8Array[], at: number): void => {
        fs.writev(this.#fd, rest, at, (error, written) => {
          if (error) return reject(error);
          const left = dropBytes(rest, written);
          if (left.length === 0) resolve();
          else if (written === 0)
            reject(Object.assign(new Error('nothing written'), { code: 'EIO' }));
          else attempt(left, at + written);
        });
      };
      attempt(buffers, position);
    });
  }

  writeSync(buffer: Uint8Array, position: number): void {
    let done = 0;
    while (done < buffer.length) {
      done += fs.writeSync(this.#fd, buffer, done, buffer.length - done, position + done);
    }
  }

  read(buffer: Uint8Array, length: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const attempt = (done: number): void => {
        fs.read(this.#fd, buffer, done, length - done, position + done, (error, count) => {
          if (error) reject(error);
          else if (count === 0 || done + count === length) resolve(done + count);
          else attempt(done + count);
        });
      };
      attempt(0);
    });
  }

  readSync(buffer: Uint8Array, length: number, position: number): number {
    let done = 0;
    while (done < length) {
      const count = fs.readSync(this.#fd, buffer, done, length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.#fd, (error) => (error ? reject(error) : resolve()));
    });
  }

  size(): number {
    return fs.fstatSync(this.#fd).size;
  }

  truncate(length: number): void {
    fs.ftruncateSync(this.#fd, length);
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}

function dropBytes(buffers: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let skip = count;
  for (const [i, buffer] of buffers.entries()) {
    if (skip < buffer.length) {
      return skip === 0 ? buffers.slice(i) : [buffer.subarray(skip), ...buffers.slice(i + 1)];
    }
    skip -= buffer.length;
  }
  return [];
}

const FLAGS: Record<OpenMode, number> = {
  read: fs.constants.O_RDONLY,
  write: fs.constants.O_RDWR,
  create: fs.constants.O_RDWR | fs.constants.O_CREAT,
};

/** The machine's file system. */
export const nodeFileSystem: FileSystem = {
  makeDir: (dir) => void fs.mkdirSync(dir, { recursive: true }),
  list: (dir) => fs.readdirSync(dir),
  open: (file, mode) => new NodeFile(fs.openSync(file, FLAGS[mode], 0o600)),
  sizeOf: (file) => fs.statSync(file, { throwIfNoEntry: false })?.size,
  remove: (file) => fs.rmSync(file, { force: true }),
  readText(file) {
    try {
      return fs.readFileSync(file, 'utf8');
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  },
  async replaceText(file, text) {
    const temporary = `${file}.new`;
    const handle = await fs.promises.open(temporary, 'w', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await fs.promises.rename(temporary, file);
    await this.syncDir(path.dirname(file));
  },
  async syncDir(dir) {
    const handle = await fs.promises.open(dir, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};
