import { type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { MemplaneError } from '@memplane/contracts';
import { blobError } from './errors.ts';
import { walk } from './list-files.ts';
import { checkBlobName, checkBlobPrefix } from './names.ts';
import type {
  BlobContent,
  BlobInfo,
  BlobStore,
  GetOptions,
  ListOptions,
  PutOptions,
  PutResult,
} from './port.ts';

export interface FileBlobStoreOptions {
  /** Largest blob that is accepted; default 4 GiB. */
  readonly blobBytesMax?: number;
  /** Largest range that `get` returns at once; default 64 MiB. */
  readonly getBytesMax?: number;
  /** Bytes that `stream` reads at once; default 256 KiB. */
  readonly chunkBytes?: number;
}

/** Unfinished files; no blob's name begins with a dot. */
const UNFINISHED = '.unfinished';

/**
 * Blobs as files below one folder. A blob is written beside, synced, then moved to its name, and
 * the folder synced: after a crash it is there whole or not at all. Several processes may share
 * the folder; opening removes unfinished files only when asked to (`recover`).
 */
export class FileBlobStore implements BlobStore {
  readonly #root: string;
  readonly #blobBytesMax: number;
  readonly #getBytesMax: number;
  readonly #chunkBytes: number;
  #unfinished = 0;

  private constructor(root: string, options: FileBlobStoreOptions) {
    this.#root = root;
    this.#blobBytesMax = options.blobBytesMax ?? 4 * 1024 ** 3;
    this.#getBytesMax = options.getBytesMax ?? 64 * 1024 ** 2;
    this.#chunkBytes = options.chunkBytes ?? 256 * 1024;
  }

  static async open(root: string, options: FileBlobStoreOptions = {}): Promise<FileBlobStore> {
    try {
      await mkdir(join(root, UNFINISHED), { recursive: true });
    } catch (error) {
      throw blobError(error, root);
    }
    return new FileBlobStore(root, options);
  }

  /** Removes what an earlier crash left unfinished. Only while nobody else writes. */
  async recover(): Promise<void> {
    const dir = join(this.#root, UNFINISHED);
    for (const file of await readdir(dir)) await rm(join(dir, file), { force: true });
  }

  async put(name: string, content: BlobContent, options: PutOptions = {}): Promise<PutResult> {
    const path = this.#path(name);
    const unfinished = join(
      this.#root,
      UNFINISHED,
      `${process.pid}-${performance.timeOrigin}-${this.#unfinished++}`,
    );
    try {
      await this.#write(unfinished, name, content);
      return await this.#publish(unfinished, path, options.ifAbsent === true);
    } catch (error) {
      throw blobError(error, name);
    } finally {
      await rm(unfinished, { force: true }).catch(() => {});
    }
  }

  async get(name: string, options: GetOptions = {}): Promise<Buffer> {
    return await this.#withFile(name, async (file) => {
      const { start, length } = await this.#range(file, name, options);
      if (length > this.#getBytesMax) {
        throw new MemplaneError('body_too_large', `${name}: ${length} bytes at once are too many`);
      }
      const buffer = Buffer.allocUnsafe(length);
      await readFully(file, buffer, start, name);
      return buffer;
    });
  }

  async *stream(name: string, options: GetOptions = {}): AsyncGenerator<Buffer, void, undefined> {
    const file = await this.#open(name);
    try {
      const { start, length } = await this.#range(file, name, options);
      for (let done = 0; done < length; done += this.#chunkBytes) {
        const chunk = Buffer.allocUnsafe(Math.min(this.#chunkBytes, length - done));
        await readFully(file, chunk, start + done, name);
        yield chunk;
      }
    } finally {
      await file.close();
    }
  }

  async head(name: string): Promise<BlobInfo | undefined> {
    try {
      const info = await stat(this.#path(name));
      return info.isFile() ? { name, sizeBytes: info.size } : undefined;
    } catch (error) {
      const mapped = blobError(error, name);
      if (mapped.code === 'not_found') return undefined;
      throw mapped;
    }
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<BlobInfo> {
    checkBlobPrefix(prefix);
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
    for await (const name of walk(this.#root, folder, prefix, options.after ?? '')) {
      if (left-- <= 0) return;
      const info = await this.head(name);
      if (info !== undefined) yield info;
    }
  }

  async delete(name: string): Promise<void> {
    const path = this.#path(name);
    try {
      await rm(path);
      await syncFolder(dirname(path));
    } catch (error) {
      const mapped = blobError(error, name);
      if (mapped.code !== 'not_found') throw mapped;
    }
  }

  async #write(path: string, name: string, content: BlobContent): Promise<void> {
    const file = await open(path, 'wx', 0o600);
    try {
      let written = 0;
      const chunks = content instanceof Uint8Array ? [content] : content;
      for await (const chunk of chunks) {
        written += chunk.length;
        if (written > this.#blobBytesMax) {
          throw new MemplaneError('body_too_large', `${name} is larger than a blob may be`);
        }
        for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten;
      }
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async #publish(from: string, to: string, ifAbsent: boolean): Promise<PutResult> {
    const created = await mkdir(dirname(to), { recursive: true });
    if (ifAbsent) {
      try {
        await link(from, to);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') return { written: false };
        throw error;
      }
    } else await rename(from, to);
    for (let dir = dirname(to); ; dir = dirname(dir)) {
      await syncFolder(dir);
      // A folder made just now has to survive, too: its entry is in its parent.
      if (created === undefined || dir === this.#root || dir === dirname(created)) break;
    }
    return { written: true };
  }

  async #withFile<T>(name: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
    const file = await this.#open(name);
    try {
      return await use(file);
    } catch (error) {
      throw blobError(error, name);
    } finally {
      await file.close();
    }
  }

  async #open(name: string): Promise<FileHandle> {
    const path = this.#path(name);
    try {
      return await open(path, 'r');
    } catch (error) {
      throw blobError(error, name);
    }
  }

  async #range(
    file: FileHandle,
    name: string,
    options: GetOptions,
  ): Promise<{ start: number; length: number }> {
    const info = await file.stat();
    if (!info.isFile()) throw new MemplaneError('not_found', `There is no blob ${name}`);
    const { start, length } = options.range ?? { start: 0, length: info.size };
    const whole = Number.isSafeInteger(start) && Number.isSafeInteger(length);
    if (!whole || start < 0 || length < 0 || start + length > info.size) {
      throw new MemplaneError('invalid_request', `${name} has no bytes ${start}+${length}`, {
        field: 'range',
      });
    }
    return { start, length };
  }

  #path(name: string): string {
    return join(this.#root, ...checkBlobName(name).split('/'));
  }
}

async function readFully(
  file: FileHandle,
  buffer: Buffer,
  start: number,
  name: string,
): Promise<void> {
  for (let at = 0; at < buffer.length; ) {
    const { bytesRead } = await file.read(buffer, at, buffer.length - at, start + at);
    if (bytesRead === 0) throw new MemplaneError('storage_damaged', `${name} ends too early`);
    at += bytesRead;
  }
}

async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
