import { binding, type NativeError, type NativeHandle } from './native.ts';

export interface RocksEntry {
  readonly key: Buffer;
  /** Empty when the scan asked for keys only. */
  readonly value: Buffer;
}

export interface ScanBounds {
  readonly gt?: Uint8Array;
  readonly gte?: Uint8Array;
  readonly lt?: Uint8Array;
  readonly lte?: Uint8Array;
  readonly reverse?: boolean;
}

const EMPTY = Buffer.alloc(0);

/**
 * Of two lower or two upper bounds only the tighter one is left: given both, RocksDB's binding
 * starts at the inclusive one and ends at once when that lies outside of the other.
 * An empty bound would mean none there, so it is refused where it would mean something else.
 */
function tightest({ gt, gte, lt, lte, reverse }: ScanBounds): ScanBounds {
  for (const bound of [gt, lt, lte]) {
    if (bound?.length === 0) throw new RangeError('an empty bound of a scan');
  }
  const lower = gt !== undefined && gte !== undefined ? Buffer.compare(gt, gte) : 0;
  const upper = lt !== undefined && lte !== undefined ? Buffer.compare(lt, lte) : 0;
  return {
    ...(gt !== undefined && lower >= 0 ? { gt } : {}),
    ...(gte !== undefined && (gt === undefined || lower < 0) ? { gte } : {}),
    ...(lt !== undefined && upper <= 0 ? { lt } : {}),
    ...(lte !== undefined && (lt === undefined || upper > 0) ? { lte } : {}),
    ...(reverse === undefined ? {} : { reverse }),
  };
}

/** One native iterator. Calls must not overlap; `close` exactly once, after the last read. */
export class NativeIterator {
  readonly #handle: NativeHandle = binding.iteratorInit();
  readonly #bounds: ScanBounds;
  readonly #keysOnly: boolean;
  /** What the native struct points into: referenced here so that it lives as long. */
  #slices: NativeHandle | undefined;
  #capacity = 0;
  #resolve: (rows: RocksEntry[]) => void = () => {};
  #reject: (error: Error) => void = () => {};

  constructor(bounds: ScanBounds, keysOnly: boolean) {
    // The bounds' bytes are read by another thread while the iterator opens: keep them referenced.
    this.#bounds = tightest(bounds);
    this.#keysOnly = keysOnly;
  }

  async open(
    db: NativeHandle,
    columnFamily: NativeHandle,
    snapshot: NativeHandle | undefined,
  ): Promise<void> {
    const { gt, gte, lt, lte, reverse } = this.#bounds;
    await this.#call(() =>
      binding.iteratorOpen(
        db,
        this.#handle,
        columnFamily,
        gt ?? EMPTY,
        gte ?? EMPTY,
        lt ?? EMPTY,
        lte ?? EMPTY,
        reverse ?? false,
        this.#keysOnly,
        snapshot,
        this,
        (error) => this.#settle(error, [], []),
        (error) => this.#settle(error, [], []),
        (error, keys, values) => this.#settle(error, keys, values),
      ),
    );
  }

  /** The next rows; fewer than `rows` means that there are no more. */
  read(rows: number): Promise<RocksEntry[]> {
    return this.#call(() => {
      if (this.#slices === undefined || rows > this.#capacity) {
        this.#slices = binding.iteratorBuffer(this.#handle, rows);
        this.#capacity = rows;
      }
      binding.iteratorRead(this.#handle, rows);
    });
  }

  async close(): Promise<void> {
    await this.#call(() => binding.iteratorClose(this.#handle));
    this.#slices = undefined;
    this.#capacity = 0;
  }

  #call(start: () => void): Promise<RocksEntry[]> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      start();
    });
  }

  #settle(
    error: NativeError | undefined | null,
    keys: readonly ArrayBuffer[],
    values: readonly ArrayBuffer[],
  ): void {
    if (error !== undefined && error !== null) {
      this.#reject(error);
      return;
    }
    const rows: RocksEntry[] = new Array(keys.length);
    for (let i = 0; i < keys.length; i++) {
      const value = values[i];
      rows[i] = {
        key: Buffer.from(keys[i] as ArrayBuffer),
        value: this.#keysOnly || value === undefined ? EMPTY : Buffer.from(value),
      };
    }
    this.#resolve(rows);
  }
}
