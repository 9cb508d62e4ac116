import { binding, type NativeError, type NativeHandle, type NativeOperation } from './native.ts';

/** Requests kept for reuse, and the largest worth keeping. */
const POOL_REQUESTS_MAX = 16;
const POOLED_OPERATIONS_MAX = 4096;

interface NativeRequest {
  readonly handle: NativeHandle;
  /** The native array that `handle` points into: referenced here so that it outlives the call. */
  buffer: NativeHandle;
  capacity: number;
  operations: readonly NativeOperation[];
}

interface Kind {
  init(): NativeHandle;
  buffer(handle: NativeHandle, capacity: number): NativeHandle;
}

const NONE: readonly NativeOperation[] = [];

class RequestPool {
  readonly #free: NativeRequest[] = [];
  readonly #kind: Kind;

  constructor(kind: Kind) {
    this.#kind = kind;
  }

  take(operations: readonly NativeOperation[]): NativeRequest {
    let request = this.#free.pop();
    if (request === undefined) {
      const handle = this.#kind.init();
      request = { handle, buffer: this.#kind.buffer(handle, 16), capacity: 16, operations };
    }
    if (operations.length > request.capacity) {
      let capacity = request.capacity;
      while (capacity < operations.length) capacity *= 2;
      request.buffer = this.#kind.buffer(request.handle, capacity);
      request.capacity = capacity;
    }
    request.operations = operations;
    return request;
  }

  give(request: NativeRequest): void {
    request.operations = NONE;
    if (this.#free.length >= POOL_REQUESTS_MAX || request.capacity > POOLED_OPERATIONS_MAX) return;
    this.#free.push(request);
  }
}

/** The native calls that carry many keys: one hand-over to RocksDB's threads each. */
export class BatchRequests {
  readonly #reads = new RequestPool({
    init: () => binding.readInit(),
    buffer: (handle, capacity) => binding.readBuffer(handle, capacity),
  });
  readonly #writes = new RequestPool({
    init: () => binding.writeInit(),
    buffer: (handle, capacity) => binding.writeBuffer(handle, capacity),
  });
  readonly #db: NativeHandle;
  readonly #columnFamily: NativeHandle;

  constructor(db: NativeHandle, columnFamily: NativeHandle) {
    this.#db = db;
    this.#columnFamily = columnFamily;
  }

  read(
    keys: readonly Uint8Array[],
    snapshot: NativeHandle | undefined,
  ): Promise<(Buffer | null)[]> {
    const columnFamily = this.#columnFamily;
    const operations = keys.map((key) => ({ type: binding.GET, columnFamily, key }));
    return new Promise((resolve, reject) => {
      const request = this.#reads.take(operations);
      const onRead = (
        errors: (NativeError | undefined)[],
        values: (ArrayBuffer | null)[],
      ): void => {
        this.#reads.give(request);
        const results: (Buffer | null)[] = new Array(keys.length);
        for (let i = 0; i < keys.length; i++) {
          const error = errors[i];
          if (error !== undefined) {
            reject(error);
            return;
          }
          const value = values[i];
          results[i] = value === null || value === undefined ? null : Buffer.from(value);
        }
        resolve(results);
      };
      binding.read(this.#db, request.handle, operations, snapshot, false, true, request, onRead);
    });
  }

  write(operations: readonly NativeOperation[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = this.#writes.take(operations);
      const onWrite = (error?: NativeError): void => {
        this.#writes.give(request);
        if (error === undefined || error === null) resolve();
        else reject(error);
      };
      binding.write(this.#db, request.handle, operations, request, onWrite);
    });
  }
}
