import type { MemplaneError } from '@memplane/contracts';
import type { NewRecord } from '../port.ts';
import { BatchEncoder, type BatchIdentity, recordBytesMax } from './batch-encoder.ts';
import type { Compression } from './compression.ts';

/** One call of `append`: resolved when all of its records are acknowledged. */
export class AppendCall {
  readonly offsets: number[];
  readonly deadline: number;
  readonly bytes: number;
  readonly #settle: PromiseWithResolvers<number[]>;
  #missing: number;
  #isSettled = false;

  constructor(records: number, bytes: number, deadline: number) {
    this.offsets = new Array<number>(records);
    this.#missing = records;
    this.bytes = bytes;
    this.deadline = deadline;
    this.#settle = Promise.withResolvers();
  }

  get promise(): Promise<number[]> {
    return this.#settle.promise;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  acknowledge(index: number, offset: number): void {
    this.offsets[index] = offset;
    this.#missing--;
    if (this.#missing > 0 || this.#isSettled) return;
    this.#isSettled = true;
    this.#settle.resolve(this.offsets);
  }

  fail(error: MemplaneError): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#settle.reject(error);
  }
}

/** Records that go to the broker together; once sent, with the same identity until the end. */
export class Batch {
  readonly encoder: BatchEncoder;
  /** Call and index within it, in the order of the records. */
  readonly calls: AppendCall[] = [];
  readonly indexes: number[] = [];
  /** When the first of its calls gives up, on the monotonic clock. */
  deadline = Number.POSITIVE_INFINITY;
  wasSent = false;
  #sealed: Buffer | undefined;

  constructor(encoder: BatchEncoder) {
    this.encoder = encoder;
  }

  add(record: NewRecord, call: AppendCall, index: number): void {
    this.encoder.add(record);
    this.calls.push(call);
    this.indexes.push(index);
    if (call.deadline < this.deadline) this.deadline = call.deadline;
  }

  seal(identity: BatchIdentity, compression: Compression): Buffer {
    this.#sealed ??= this.encoder.finish(identity, compression);
    return this.#sealed;
  }

  /** Lets it be sealed with another identity. Only for a batch that surely is not in the log. */
  unseal(): void {
    this.#sealed = undefined;
  }

  acknowledge(baseOffset: number): void {
    for (let i = 0; i < this.calls.length; i++) {
      this.calls[i]?.acknowledge(this.indexes[i] ?? 0, baseOffset + i);
    }
  }

  fail(error: MemplaneError): void {
    for (const call of this.calls) call.fail(error);
  }
}

const SEQUENCES = 2 ** 31;
const EPOCH_MAX = 32_767;
/** Larger memory is not kept for the next batch. */
const SPARE_BYTES_MAX = 1024 * 1024;

/**
 * What waits for one partition, in order, and how far its sequence is. At most one batch is under
 * way, and it keeps its place and its sequence until it is acknowledged or given up: so no retry
 * can put it behind a later one, or in twice.
 */
export class PartitionQueue {
  readonly partition: number;
  readonly #batches: Batch[] = [];
  producerId = -1n;
  #epoch = 0;
  #sequence = 0;
  /**
   * Memory of the last batch that was acknowledged: memory that is new each time has to be grown,
   * mapped and cleared, which costs more than what is written to it.
   */
  #spare: Buffer | undefined;
  inFlight: Batch | undefined;
  attempts = 0;
  /** Not to be sent before, on the monotonic clock. */
  notBefore = 0;

  constructor(partition: number) {
    this.partition = partition;
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0;
  }

  get head(): Batch | undefined {
    return this.#batches[0];
  }

  get needsProducerId(): boolean {
    return this.producerId < 0n;
  }

  add(record: NewRecord, call: AppendCall, index: number, batchBytesMax: number): void {
    this.#batchFor(recordBytesMax(record), batchBytesMax).add(record, call, index);
  }

  /** All into one batch, however large it gets. @param bytes of all of them */
  addTogether(
    records: readonly NewRecord[],
    call: AppendCall,
    bytes: number,
    batchBytesMax: number,
  ): void {
    const batch = this.#batchFor(bytes, batchBytesMax);
    for (const [i, record] of records.entries()) batch.add(record, call, i);
  }

  #batchFor(bytes: number, batchBytesMax: number): Batch {
    const last = this.#batches.at(-1);
    const fits =
      last !== undefined && !last.wasSent && last.encoder.length + bytes <= batchBytesMax;
    if (fits) return last;
    const batch = new Batch(new BatchEncoder(this.#spare));
    this.#spare = undefined;
    this.#batches.push(batch);
    return batch;
  }

  /** The first batch, sealed to be sent. */
  take(compression: Compression): { batch: Batch; bytes: Buffer } | undefined {
    const batch = this.#batches[0];
    if (!batch || this.inFlight || this.needsProducerId) return undefined;
    const identity = {
      producerId: this.producerId,
      epoch: this.#epoch,
      sequence: this.#sequence,
    };
    const bytes = batch.seal(identity, compression);
    batch.wasSent = true;
    this.inFlight = batch;
    return { batch, bytes };
  }

  /** The batch under way is in the log. */
  acknowledge(baseOffset: number): void {
    const batch = this.inFlight;
    if (!batch || this.#batches[0] !== batch) return;
    this.#batches.shift();
    this.inFlight = undefined;
    this.attempts = 0;
    this.#sequence = (this.#sequence + batch.encoder.count) % SEQUENCES;
    const spare = batch.encoder.reuse();
    if (spare.length <= SPARE_BYTES_MAX) this.#spare = spare;
    batch.acknowledge(baseOffset);
  }

  /** The batch under way goes again, as it is, after a pause. */
  retryAfter(now: number, pauseMs: number): void {
    this.inFlight = undefined;
    this.attempts++;
    this.notBefore = now + pauseMs;
  }

  /**
   * Counts a new epoch, so that the broker refuses what may still come of the older one, and begins
   * its sequence anew.
   */
  bumpEpoch(): void {
    if (this.#epoch >= EPOCH_MAX) this.producerId = -1n;
    this.#epoch = this.producerId < 0n ? 0 : this.#epoch + 1;
    this.#sequence = 0;
    this.#batches[0]?.unseal();
  }

  /** Takes an id from the broker, to begin with or after the last one was used up. */
  useProducerId(id: bigint): void {
    this.producerId = id;
    this.#epoch = 0;
    this.#sequence = 0;
    this.#batches[0]?.unseal();
  }

  /** Drops the id: the broker knows of another one that is newer. */
  forgetProducerId(): void {
    this.producerId = -1n;
  }

  /**
   * Gives up all that waits. Later batches go with the first one, since they must not get ahead of
   * what their callers will send again.
   * @returns whether the first one may be in the log all the same
   */
  failAll(toError: (wasSent: boolean) => MemplaneError): boolean {
    const wasSent = this.#batches[0]?.wasSent ?? false;
    for (const batch of this.#batches) batch.fail(toError(batch.wasSent));
    this.#batches.length = 0;
    this.inFlight = undefined;
    this.attempts = 0;
    return wasSent;
  }
}
