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
  /** Of one message and its answer, however often it is asked for again, where nothing else is said. */
  readonly callTimeoutMs: number;
  readonly chunk_bytes_max: number;
  readonly answer_bytes_max: number;
  /** How long the rest of an answer is kept for who asked. */
  readonly keptMs: number;
}

interface Kept {
  readonly from: string;
  /** The question that it answers. */
  readonly key: string;
  readonly id: number;
  readonly first: Uint8Array;
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
/** In front of each question: who asks it for the how manieth time, `life, number`. */
const ASKED_BYTES = 16;
/** The first attempt waits for this part of a call's time, each further one twice as long. */
const FIRST_ATTEMPT = 0.1;
/** How much earlier than it should a timer may end. */
const TIMER_MS = 2;
/** So long at most: who waits longer notices late that a cut has ended. */
const LONGEST_ATTEMPT = 0.4;

/**
 * Calls whose answers may be larger than a message: the rest is asked for chunk by chunk. One answer
 * is kept for each replica and method, for a while, so memory is bounded by their number.
 *
 * What is not answered soon is asked again, as one of a cut that has just ended; so a question must
 * do no harm when it comes twice. What is being answered, or was, is not begun anew: else an answer
 * that takes longer than an attempt would never arrive. A later call is another question.
 */
export class LargeCalls {
  readonly #options: LargeCallsOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #answering = new Map<string, Promise<Uint8Array>>();
  #lastId = 0;
  #asked = 0;

  constructor(options: LargeCallsOptions) {
    this.#options = options;
    options.caller.onCall(REST, async (from, bytes) => this.#rest(from, bytes));
  }

  /**
   * @param timeoutMs of each message
   * @throws MemplaneError as `Cluster.call`, `body_too_large`
   */
  async call(
    to: string,
    method: number,
    question: Uint8Array,
    timeoutMs = this.#options.callTimeoutMs,
  ): Promise<Answer> {
    const { answer_bytes_max, life } = this.#options;
    const asked = Buffer.alloc(ASKED_BYTES);
    asked.writeBigUInt64BE(BigInt(life()), 0);
    asked.writeBigUInt64BE(BigInt(++this.#asked), ASKED_BYTES / 2);
    const whole = Buffer.concat([asked, question]);
    const first = Buffer.from(await this.#ask(to, method, whole, timeoutMs));
    if (first.length < HEAD_BYTES) throw malformed(to);
    const total = first.readUInt32BE(0);
    if (total > answer_bytes_max) throw tooLarge(answer_bytes_max);
    const chunks: Uint8Array[] = [first.subarray(HEAD_BYTES)];
    let length = first.length - HEAD_BYTES;
    while (length < total) {
      const ask = Buffer.alloc(REST_BYTES);
      first.copy(ask, 0, ID_AT, HEAD_BYTES);
      ask.writeUInt32BE(length, ID_BYTES);
      const chunk = await this.#ask(to, REST, ask, timeoutMs);
      if (chunk.length === 0 || length + chunk.length > total) throw malformed(to);
      chunks.push(chunk);
      length += chunk.length;
    }
    return { life: Number(first.readBigUInt64BE(LIFE_AT)), bytes: Buffer.concat(chunks) };
  }

  /** @param method 1 to 255 */
  onCall(method: number, handler: (from: string, bytes: Uint8Array) => Promise<Uint8Array>): void {
    this.#options.caller.onCall(method, async (from, whole) => {
      if (whole.length < ASKED_BYTES) throw malformed(from);
      const asked = Buffer.from(whole.subarray(0, ASKED_BYTES)).toString('hex');
      const key = `${from} ${method} ${asked}`;
      const kept = this.#kept.get(`${from} ${method}`);
      if (kept?.key === key) return kept.first;
      const begun = this.#answering.get(key);
      if (begun !== undefined) return begun;
      const answering = this.#answer({ from, method, key }, whole.subarray(ASKED_BYTES), handler);
      this.#answering.set(key, answering);
      const end = () => this.#answering.delete(key);
      answering.then(end, end);
      return answering;
    });
  }

  async #ask(
    to: string,
    method: number,
    question: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array> {
    const { caller, callTimeoutMs, now } = this.#options;
    const untilMs = now() + timeoutMs;
    for (let waitMs = callTimeoutMs * FIRST_ATTEMPT; ; waitMs *= 2) {
      const attemptMs = Math.min(waitMs, callTimeoutMs * LONGEST_ATTEMPT, untilMs - now());
      const startMs = now();
      try {
        return await caller.call(to, method, question, attemptMs);
      } catch (error) {
        // One that can't be reached is told at once: then there is nothing to wait for. Timers may
        // end a little early.
        const isLate = now() - startMs >= attemptMs - TIMER_MS;
        if (!isLate || now() >= untilMs - TIMER_MS) throw error;
      }
    }
  }

  async #answer(
    { from, method, key }: { from: string; method: number; key: string },
    question: Uint8Array,
    handler: (from: string, bytes: Uint8Array) => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const { life, now, chunk_bytes_max, answer_bytes_max, keptMs } = this.#options;
    const lifeBefore = life();
    const bytes = await handler(from, question);
    if (life() !== lifeBefore) {
      throw new MemplaneError('dependency_unavailable', 'This replica has started anew.');
    }
    if (bytes.length > answer_bytes_max) throw tooLarge(answer_bytes_max);
    for (const [place, { untilMs }] of this.#kept) if (untilMs < now()) this.#kept.delete(place);
    const id = ++this.#lastId;
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32BE(bytes.length, 0);
    head.writeBigUInt64BE(BigInt(lifeBefore), LIFE_AT);
    head.writeBigUInt64BE(BigInt(id), ID_AT);
    const first = Buffer.concat([head, bytes.subarray(0, chunk_bytes_max)]);
    const untilMs = now() + keptMs;
    this.#kept.set(`${from} ${method}`, { from, key, id, first, bytes, untilMs });
    return first;
  }

  #rest(from: string, ask: Uint8Array): Uint8Array {
    const { now, chunk_bytes_max, keptMs } = this.#options;
    const words = Buffer.from(ask);
    if (words.length !== REST_BYTES) throw malformed(from);
    const id = Number(words.readBigUInt64BE(0));
    const found = [...this.#kept].find(([, kept]) => kept.from === from && kept.id === id);
    if (found === undefined) {
      throw new MemplaneError('not_found', 'The rest of that answer is not kept any more.');
    }
    const [key, kept] = found;
    this.#kept.set(key, { ...kept, untilMs: now() + keptMs });
    const at = words.readUInt32BE(ID_BYTES);
    return kept.bytes.subarray(at, at + chunk_bytes_max);
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
