import { MemplaneError } from '@memplane/contracts';
import { initProducerIdV4 } from '@platformatic/kafka';
import type { AppendOptions, NewRecord } from '../port.ts';
import { type ProduceAnswer, type ProducePart, produceById, produceByName } from './apis.ts';
import { recordBytesMax } from './batch-encoder.ts';
import { BrokerError, KAFKA, mayPass, toLogError } from './errors.ts';
import type { ResolvedKafkaOptions } from './options.ts';
import { AppendCall, PartitionQueue } from './partition-queue.ts';
import { logClosed, retryPauseMs, withRetries } from './retry.ts';
import type { TopicMap } from './topic-map.ts';

/** How often deadlines are looked at while something waits. */
const DEADLINE_STEP_MS = 100;
const DOING = 'appending to the log';

interface Shipment {
  readonly node: number;
  readonly queues: readonly PartitionQueue[];
  readonly parts: readonly ProducePart[];
}

/**
 * Sends batches, idempotently and with the acknowledgement of all replicas in sync. Requests of
 * different partitions overlap; of one partition there is never more than one under way. What waits
 * meanwhile makes up the next batch, so that batches grow with the load and nothing lingers.
 */
export class Producer {
  readonly #map: TopicMap;
  readonly #options: ResolvedKafkaOptions;
  readonly #isById: boolean;
  readonly #closing: AbortSignal;
  readonly #queues: readonly PartitionQueue[];
  /** Node id of a leader → requests under way. */
  readonly #underWay = new Map<number, number>();
  #waitingBytes = 0;
  #isScheduled = false;
  #timer: NodeJS.Timeout | undefined;
  #wakeTimer: NodeJS.Timeout | undefined;
  #wakeTime = Number.POSITIVE_INFINITY;
  #naming: Promise<void> | undefined;
  #next = 0;

  constructor(map: TopicMap, options: ResolvedKafkaOptions, isById: boolean, closing: AbortSignal) {
    this.#map = map;
    this.#options = options;
    this.#isById = isById;
    this.#closing = closing;
    const { partitions } = map.info;
    this.#queues = Array.from({ length: partitions }, (_, p) => new PartitionQueue(p));
  }

  /** Bytes of records, before compression, that are not acknowledged yet. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Gets the producer's id: the first thing that needs a broker. */
  async start(): Promise<void> {
    const id = await withRetries('opening the log', this.#options, this.#closing, () =>
      this.#newProducerId(),
    );
    for (const queue of this.#queues) queue.useProducerId(id);
  }

  /** @throws MemplaneError as `LogWriter.append` does */
  append(records: readonly NewRecord[], { together = false }: AppendOptions): Promise<number[]> {
    const { appendQueueBytesMax, batchBytesMax, deliveryDeadlineMs } = this.#options;
    let bytes = 0;
    for (const record of records) bytes += recordBytesMax(record);
    if (this.#waitingBytes > 0 && this.#waitingBytes + bytes > appendQueueBytesMax) {
      throw new MemplaneError('overloaded', 'Too much waits for the log already', {
        retryAfterMs: 100,
      });
    }
    const deadline = performance.now() + deliveryDeadlineMs;
    const call = new AppendCall(records.length, bytes, deadline);
    if (together) {
      this.#queues[records[0]?.partition ?? 0]?.addTogether(records, call, bytes, batchBytesMax);
    } else {
      for (const [i, record] of records.entries()) {
        this.#queues[record.partition]?.add(record, call, i, batchBytesMax);
      }
    }
    this.#waitingBytes += bytes;
    this.#schedule();
    this.#timer ??= setInterval(() => this.#checkDeadlines(), DEADLINE_STEP_MS);
    return call.promise.finally(() => {
      this.#waitingBytes -= bytes;
    });
  }

  /** Resolves when nothing waits any more; what does not get there in time fails by its deadline. */
  async drain(): Promise<void> {
    while (this.#queues.some((queue) => !queue.isEmpty)) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.#stopTimer();
  }

  /** Lets the calls of one turn of the event loop go together. */
  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#dispatch();
    });
  }

  #dispatch(): void {
    const now = performance.now();
    const shipments = new Map<number, { queues: PartitionQueue[]; bytes: number }>();
    // Begins with another partition each time, so that none is left out for good.
    this.#next = (this.#next + 1) % this.#queues.length;
    for (let i = 0; i < this.#queues.length; i++) {
      const queue = this.#queues[(this.#next + i) % this.#queues.length];
      if (!queue?.head || queue.inFlight) continue;
      if (queue.notBefore > now) {
        this.#wakeAt(queue.notBefore);
        continue;
      }
      if (queue.needsProducerId) {
        this.#nameAgain();
        continue;
      }
      const node = this.#map.knownLeaderOf(queue.partition);
      if (node < 0) {
        this.#retry(queue);
        continue;
      }
      if ((this.#underWay.get(node) ?? 0) >= this.#options.produceRequestsMax) continue;
      const shipment = shipments.get(node) ?? { queues: [], bytes: 0 };
      if (shipment.bytes + queue.head.encoder.length > this.#options.produceRequestBytesMax) {
        if (shipment.queues.length > 0) continue;
      }
      shipment.queues.push(queue);
      shipment.bytes += queue.head.encoder.length;
      shipments.set(node, shipment);
    }
    for (const [node, { queues }] of shipments) this.#ship(node, queues);
  }

  #ship(node: number, queues: readonly PartitionQueue[]): void {
    const parts: ProducePart[] = [];
    for (const queue of queues) {
      const taken = queue.take(this.#options.compression);
      if (taken) parts.push({ partition: queue.partition, batch: taken.bytes });
    }
    this.#underWay.set(node, (this.#underWay.get(node) ?? 0) + 1);
    const shipment = { node, queues, parts };
    const heads = queues.map((queue) => queue.inFlight);
    this.#send(shipment)
      .then(
        (answers) => this.#settle(shipment, heads, answers),
        (error: unknown) => this.#lost(shipment, heads, error),
      )
      .finally(() => {
        this.#underWay.set(node, (this.#underWay.get(node) ?? 1) - 1);
        this.#dispatch();
      });
  }

  #send({ node, parts }: Shipment): Promise<ProduceAnswer[]> {
    const timeoutMs = Math.max(100, this.#options.requestTimeoutMs - 500);
    const [api, topic] = this.#isById
      ? [produceById, this.#map.topicId]
      : [produceByName, this.#map.topic];
    return this.#map.callNode(node, 'produce', api, topic, timeoutMs, parts);
  }

  #settle(
    { queues }: Shipment,
    heads: readonly PartitionQueue['inFlight'][],
    answers: readonly ProduceAnswer[],
  ): void {
    for (const [i, queue] of queues.entries()) {
      if (queue.inFlight === undefined || queue.inFlight !== heads[i]) continue; // given up
      const answer = answers.find(({ partition }) => partition === queue.partition);
      if (!answer) this.#retry(queue);
      else if (answer.error === KAFKA.none) queue.acknowledge(answer.baseOffset);
      else this.#refused(queue, answer.error);
    }
  }

  #refused(queue: PartitionQueue, number: number): void {
    const error = new BrokerError(number, DOING);
    switch (number) {
      case KAFKA.outOfOrderSequence:
      case KAFKA.unknownProducerId:
        // The broker has lost what came before, and so does not have this batch either.
        queue.bumpEpoch();
        this.#retry(queue);
        return;
      case KAFKA.invalidProducerEpoch:
        queue.forgetProducerId();
        this.#giveUp(queue, error);
        return;
      case KAFKA.duplicateSequence:
        // It is in the log, at an offset that the broker no longer knows.
        this.#giveUp(queue, error);
        return;
      default:
        if (mayPass(error)) this.#retry(queue);
        else this.#giveUp(queue, error, false);
    }
  }

  #lost({ queues }: Shipment, heads: readonly PartitionQueue['inFlight'][], error: unknown): void {
    for (const [i, queue] of queues.entries()) {
      if (queue.inFlight === undefined || queue.inFlight !== heads[i]) continue;
      if (this.#closing.aborted || !mayPass(error)) this.#giveUp(queue, error);
      else this.#retry(queue);
    }
  }

  #retry(queue: PartitionQueue): void {
    const pauseMs = retryPauseMs(queue.attempts, this.#options);
    queue.retryAfter(performance.now(), pauseMs);
    this.#wakeAt(queue.notBefore);
    this.#map.refresh().catch((error: unknown) => {
      if (!mayPass(error)) this.#giveUp(queue, error);
    });
  }

  /**
   * Fails what waits for the partition. A batch that may be in the log, or on its way, is kept from
   * coming later.
   */
  #giveUp(queue: PartitionQueue, cause: unknown, isUnsure = true): void {
    const mayBeThere = queue.failAll((wasSent) =>
      wasSent && isUnsure
        ? new MemplaneError('deadline_exceeded', 'The log did not acknowledge in time', {
            retryAfterMs: 1_000,
            cause,
          })
        : toLogError(cause, DOING, 'storage_unavailable'),
    );
    if (mayBeThere && !queue.needsProducerId) queue.bumpEpoch();
  }

  #checkDeadlines(): void {
    const now = performance.now();
    let isIdle = true;
    for (const queue of this.#queues) {
      if (queue.isEmpty) continue;
      isIdle = false;
      if ((queue.head?.deadline ?? now) <= now) {
        this.#giveUp(queue, new Error('no broker has acknowledged it'));
      }
    }
    if (isIdle) this.#stopTimer();
  }

  /** Dispatches again at a time of the monotonic clock. A timer may be early: then it is set anew. */
  #wakeAt(time: number): void {
    if (this.#wakeTime <= time) return;
    clearTimeout(this.#wakeTimer);
    this.#wakeTime = time;
    const wake = (): void => {
      this.#wakeTime = Number.POSITIVE_INFINITY;
      this.#dispatch();
    };
    this.#wakeTimer = setTimeout(wake, Math.max(1, Math.ceil(time - performance.now())));
  }

  #stopTimer(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Gets a new producer id for the partitions that have none. */
  #nameAgain(): void {
    this.#naming ??= this.#newProducerId()
      .then(
        (id) => {
          for (const queue of this.#queues) if (queue.needsProducerId) queue.useProducerId(id);
        },
        () => new Promise<void>((resolve) => setTimeout(resolve, this.#options.retryPauseMsMax)),
      )
      .finally(() => {
        this.#naming = undefined;
        this.#dispatch();
      });
  }

  async #newProducerId(): Promise<bigint> {
    if (this.#closing.aborted) throw logClosed();
    const answer = await this.#map.callAny(initProducerIdV4.api, null, 0, -1n, -1);
    return answer.producerId;
  }
}
