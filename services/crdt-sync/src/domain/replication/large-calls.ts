import { MemplaneError } from '@memplane/contracts';

/** Questions to another replica, whose answers fit into one message. */
export interface Caller {
  call(to: string, method: number, bytes: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  onCall(method: number, handler: (from: string, bytes: Uint8Array) => Promise<Uint8Array>): void;
}

export interface LargeCallsOptions {
  readonly caller: Caller;
  /** Names this replica's life: another one at each start, and after each loss of state. */
  readonly life: () => number;
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
  /** Of one message. */
  readonly callTimeoutMs: number;
  readonly chunk_bytes_max: number;
  readonly answer_bytes_max: number;
  /** How long the rest of an answer is kept for who asked. */
  readonly keptMs: number;
}

interface Kept {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly untilMs: number;
}

export interface Answer {
  /** The life of the replica that gave it. */
  readonly life: number;
  readonly bytes: Uint8Array;
}

/** `total, life, id` before the first chunk; a rest is asked for by `id, offset`. */
const HEAD_BYTES = 20;
const LIFE_AT = 4;
const ID_AT = 12;
const ID_BYTES = 8;
const REST_BYTES = 12;
/** The rest of an answer; other methods begin above it. */
const REST = 0;

/**
 * Calls whose answers may be larger than a message: the rest is asked for chunk by chunk. One rest is
 * kept for each replica that asks, for a while, so memory is bounded by their number.
 */
export class LargeCalls {
  readonly #options: LargeCallsOptions;
  readonly #kept = new Map<string, Kept>();
  #lastId = 0;

  constructor(options: LargeCallsOptions) {
    this.#options = options;
    options.caller.onCall(REST, async (from, bytes) => this.#rest(from, bytes));
  }

  /** @throws MemplaneError as `Cluster.call`, `body_too_large` */
  async call(to: string, method: number, question: Uint8Array): Promise<Answer> {
    const { caller, callTimeoutMs, answer_bytes_max } = this.#options;
    const first = Buffer.from(await caller.call(to, method, question, callTimeoutMs));
    if (first.length < HEAD_BYTES) throw malformed(to);
    const total = first.readUInt32BE(0);
    if (total > answer_bytes_max) throw tooLarge(answer_bytes_max);
    const chunks: Uint8Array[] = [first.subarray(HEAD_BYTES)];
    let length = first.length - HEAD_BYTES;
    while (length < total) {
      const ask = Buffer.alloc(REST_BYTES);
      first.copy(ask, 0, ID_AT, HEAD_BYTES);
      ask.writeUInt32BE(length, ID_BYTES);
      const chunk = await caller.call(to, REST, ask, callTimeoutMs);
      if (chunk.length === 0 || length + chunk.length > total) throw malformed(to);
      chunks.push(chunk);
      length += chunk.length;
    }
    return { life: Number(first.readBigUInt64BE(LIFE_AT)), bytes: Buffer.concat(chunks) };
  }

  /** @param method 1 to 255 */
  onCall(method: number, handler: (from: string, bytes: Uint8Array) => Promise<Uint8Array>): void {
    const { caller, life, now, chunk_bytes_max, answer_bytes_max, keptMs } = this.#options;
    caller.onCall(method, async (from, question) => {
      const bytes = await handler(from, question);
      if (bytes.length > answer_bytes_max) throw tooLarge(answer_bytes_max);
      for (const [id, { untilMs }] of this.#kept) if (untilMs < now()) this.#kept.delete(id);
      const id = ++this.#lastId;
      if (bytes.length > chunk_bytes_max) {
        this.#kept.set(from, { id, bytes, untilMs: now() + keptMs });
      }
      const head = Buffer.alloc(HEAD_BYTES);
      head.writeUInt32BE(bytes.length, 0);
      head.writeBigUInt64BE(BigInt(life()), LIFE_AT);
      head.writeBigUInt64BE(BigInt(id), ID_AT);
      return Buffer.concat([head, bytes.subarray(0, chunk_bytes_max)]);
    });
  }

  #rest(from: string, ask: Uint8Array): Uint8Array {
    const { now, chunk_bytes_max, keptMs } = this.#options;
    const kept = this.#kept.get(from);
    const words = Buffer.from(ask);
    if (words.length !== REST_BYTES) throw malformed(from);
    if (kept === undefined || BigInt(kept.id) !== words.readBigUInt64BE(0)) {
      throw new MemplaneError('not_found', 'The rest of that answer is not kept any more.');
    }
    const at = words.readUInt32BE(ID_BYTES);
    const chunk = kept.bytes.subarray(at, at + chunk_bytes_max);
    const isLast = at + chunk.length >= kept.bytes.length;
    if (isLast) this.#kept.delete(from);
    else this.#kept.set(from, { ...kept, untilMs: now() + keptMs });
    return chunk;
  }
}

function malformed(replica: string): MemplaneError {
  return new MemplaneError('dependency_unavailable', `Replica ${replica} speaks otherwise.`);
}

function tooLarge(max: number): MemplaneError {
  return new MemplaneError('body_too_large', 'An answer between replicas is too large.', {
    extra: { limit: 'answer_bytes_max', max },
  });
}
