import type { LogBounds, LogInfo } from '../port.ts';
import type { FileSystem } from './file-system.ts';
import { infoOf, type Manifest, readManifest } from './manifest.ts';
import { MarkFile } from './mark.ts';
import { SharedBounds, type SharedLogState } from './shared-state.ts';

/** Where a reader learns how far the log goes, and that it went on. */
export interface BoundsSource {
  /** The log as it is now. */
  readonly info: LogInfo;
  /** Of a partition's own records alone. */
  bounds(partition: number): LogBounds;
  /** A number that is another one once something has changed. */
  changes(): number;
  /** Resolves when `changes()` is (probably) no longer `seen`; rejects when the signal is aborted. */
  changed(seen: number, signal: AbortSignal): Promise<void>;
  close(): void;
}

/** How long a wait relies on being woken before it looks for itself, in milliseconds. */
const LOOK_AGAIN_MS = 1_000;

/** Many waiters, one wake-up; a waiter that is aborted leaves nothing behind. */
class Waiters {
  readonly #waiting = new Set<() => void>();

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }

  add(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = (): void => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      const abort = (): void => {
        this.#waiting.delete(wake);
        reject(signal.reason);
      };
      if (signal.aborted) return abort();
      signal.addEventListener('abort', abort, { once: true });
      this.#waiting.add(wake);
    });
  }
}

/** Fed by the writer through shared memory. */
export class SharedSource implements BoundsSource {
  readonly #bounds: SharedBounds;
  readonly #waiters = new Waiters();
  /** One wait on the shared memory at a time, as such a wait can't be taken back. */
  #isArmed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(state: SharedLogState) {
    this.#bounds = new SharedBounds(state);
  }

  get info(): LogInfo {
    return this.#bounds.info;
  }

  bounds(partition: number): LogBounds {
    return this.#bounds.bounds(partition);
  }

  changes(): number {
    return this.#bounds.changes;
  }

  changed(seen: number, signal: AbortSignal): Promise<void> {
    if (this.changes() !== seen) return Promise.resolve();
    const woken = this.#waiters.add(signal);
    this.#arm(seen);
    return woken;
  }

  close(): void {
    this.#wake();
  }

  #arm(seen: number): void {
    // keeps the event loop alive while someone waits, and finds a wake-up that went astray
    this.#timer ??= setInterval(() => {
      if (this.changes() !== seen || this.#waiters.isEmpty) this.#wake();
    }, LOOK_AGAIN_MS);
    if (this.#isArmed) return;
    const wait = Atomics.waitAsync(this.#bounds.words, 0, seen);
    if (!wait.async) {
      this.#wake();
      return;
    }
    this.#isArmed = true;
    void wait.value.then(() => {
      this.#isArmed = false;
      this.#wake();
    });
  }

  #wake(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#waiters.wake();
  }
}

/** Looks into the files from time to time: for a process that the writer does not know of. */
export class PollingSource implements BoundsSource {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #pollMs: number;
  #mark: MarkFile;
  #looks = 0;
  #manifest: Manifest;
  #ends: readonly number[] = [];

  constructor(fs: FileSystem, dir: string, manifest: Manifest, pollMs: number) {
    this.#fs = fs;
    this.#dir = dir;
    this.#pollMs = pollMs;
    this.#manifest = manifest;
    this.#mark = MarkFile.openToRead(fs, dir, manifest.partitions);
  }

  /** As of the last look at the bounds. */
  get info(): LogInfo {
    return infoOf(this.#manifest);
  }

  bounds(partition: number): LogBounds {
    this.#look();
    this.#ends = this.#mark.read()?.ends ?? this.#ends;
    const start = this.#manifest.starts[partition] ?? 0;
    return { start, end: this.#ends[partition] ?? start };
  }

  #look(): void {
    const { partitions } = this.#manifest;
    this.#manifest = readManifest(this.#fs, this.#dir) ?? this.#manifest;
    if (this.#manifest.partitions === partitions) return;
    this.#mark.close();
    this.#mark = MarkFile.openToRead(this.#fs, this.#dir, this.#manifest.partitions);
  }

  changes(): number {
    return this.#looks;
  }

  changed(_seen: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        clearTimeout(timer);
        reject(signal.reason);
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', abort);
        this.#looks += 1;
        resolve();
      }, this.#pollMs);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  close(): void {
    this.#mark.close();
  }
}
