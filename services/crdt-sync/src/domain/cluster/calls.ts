import { ERROR_CODES, type ErrorCode, MemplaneError } from '@memplane/contracts';
import type { Cancel, Random, Timers } from '@memplane/gossip';

/** Answers the call of another replica. What it throws is told to the caller. */
export type CallHandler = (from: string, bytes: Uint8Array) => Promise<Uint8Array>;

export interface CallsOptions {
  readonly timers: Timers;
  readonly random: Random;
  /** Calls of this replica that wait for an answer; more are refused. */
  readonly pendingCallsMax: number;
  /** Calls of others that are being answered; more are refused. */
  readonly servedCallsMax: number;
  /** Rejects where it is known that the other did not get it. */
  readonly post: (to: string, channel: 'call' | 'answer', bytes: Uint8Array) => Promise<void>;
}

interface Pending {
  readonly to: string;
  readonly cancel: Cancel;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: MemplaneError) => void;
}

const METHOD_MAX = 255;
/** A random half, so that no answer to a call before a restart is taken for one after it. */
const ID_BYTES = 8;
const OK = 0;
const FAILED = 1;

/**
 * Questions and answers over messages that may get lost. A call is `method, id, bytes`, an answer
 * `id, outcome, bytes`. A call is not repeated: only the caller knows whether that does harm.
 */
export class Calls {
  readonly #options: CallsOptions;
  readonly #start: Uint8Array;
  readonly #pending = new Map<string, Pending>();
  readonly #handlers = new Map<number, CallHandler>();
  #number = 0;
  #served = 0;

  constructor(options: CallsOptions) {
    this.#options = options;
    this.#start = options.random.bytes(ID_BYTES / 2);
  }

  get pending(): number {
    return this.#pending.size;
  }

  /**
   * @throws MemplaneError `dependency_unavailable` where no answer came in time, `overloaded` where
   * too many calls wait already, and what the other's handler threw
   */
  async call(
    to: string,
    method: number,
    bytes: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array> {
    const { pendingCallsMax, post, timers } = this.#options;
    if (this.#pending.size >= pendingCallsMax) {
      throw new MemplaneError('overloaded', `${pendingCallsMax} calls wait for other replicas.`);
    }
    const id = this.#nextId();
    const key = keyOf(id);
    return new Promise<Uint8Array>((resolve, reject) => {
      const cancel = timers.after(timeoutMs, () => {
        this.#pending.delete(key);
        reject(unavailable(to, `did not answer within ${timeoutMs} ms`));
      });
      this.#pending.set(key, { to, cancel, resolve, reject });
      post(to, 'call', Buffer.concat([Buffer.from([method]), id, bytes])).catch((cause) => {
        this.#take(key, to)?.reject(unavailable(to, 'can not be reached', cause));
      });
    });
  }

  /** @throws RangeError for a method that has a handler already, or is no byte */
  onCall(method: number, handler: CallHandler): void {
    if (!Number.isInteger(method) || method < 0 || method > METHOD_MAX) {
      throw new RangeError(`method ${method} is no byte`);
    }
    if (this.#handlers.has(method)) throw new RangeError(`method ${method} has a handler`);
    this.#handlers.set(method, handler);
  }

  /** A call came in. */
  asked(from: string, bytes: Uint8Array): void {
    const [method] = bytes;
    const id = bytes.subarray(1, 1 + ID_BYTES);
    if (method === undefined || id.length < ID_BYTES) return;
    void this.#serve(from, method, bytes.subarray(1 + ID_BYTES)).then((answer) =>
      this.#options.post(from, 'answer', Buffer.concat([id, answer])).catch(() => {}),
    );
  }

  /** An answer came in; one that nobody waits for any more is let go. */
  answered(from: string, bytes: Uint8Array): void {
    const pending = this.#take(keyOf(bytes.subarray(0, ID_BYTES)), from);
    const rest = bytes.subarray(ID_BYTES + 1);
    if (bytes[ID_BYTES] === OK) pending?.resolve(rest);
    else pending?.reject(errorOf(from, rest));
  }

  /** Ends all that wait. */
  stop(): void {
    for (const [key, { to, reject }] of this.#pending) {
      this.#take(key, to);
      reject(new MemplaneError('shutting_down', 'This replica is ending.'));
    }
  }

  async #serve(from: string, method: number, bytes: Uint8Array): Promise<Uint8Array> {
    const { servedCallsMax } = this.#options;
    const handler = this.#handlers.get(method);
    if (handler === undefined) {
      return failure('not_implemented', `There is no method ${method} here.`);
    }
    if (this.#served >= servedCallsMax) {
      return failure('overloaded', `${servedCallsMax} calls are being answered.`);
    }
    this.#served++;
    try {
      return Buffer.concat([Buffer.from([OK]), await handler(from, bytes)]);
    } catch (error) {
      // What others need not know of stays here.
      if (error instanceof MemplaneError) return failure(error.code, error.message);
      return failure('internal', 'The other replica failed to answer.');
    } finally {
      this.#served--;
    }
  }

  #take(key: string, from: string): Pending | undefined {
    const pending = this.#pending.get(key);
    if (pending?.to !== from) return undefined;
    this.#pending.delete(key);
    pending.cancel();
    return pending;
  }

  #nextId(): Uint8Array {
    const id = Buffer.alloc(ID_BYTES);
    id.set(this.#start);
    id.writeUInt32BE(this.#number++ >>> 0, ID_BYTES / 2);
    return id;
  }
}

function keyOf(id: Uint8Array): string {
  return Buffer.from(id).toString('hex');
}

function failure(code: ErrorCode, detail: string): Uint8Array {
  return Buffer.concat([Buffer.from([FAILED]), Buffer.from(`${code} ${detail}`)]);
}

function errorOf(from: string, bytes: Uint8Array): MemplaneError {
  const [, code = '', detail = ''] = /^(\w+) (.*)$/s.exec(Buffer.from(bytes).toString()) ?? [];
  if (Object.hasOwn(ERROR_CODES, code)) return new MemplaneError(code as ErrorCode, detail);
  return unavailable(from, 'gave no answer that is known here');
}

function unavailable(replica: string, what: string, cause?: unknown): MemplaneError {
  return new MemplaneError('dependency_unavailable', `Replica ${replica} ${what}.`, { cause });
}
