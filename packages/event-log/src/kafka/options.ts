import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { MemplaneError } from '@memplane/contracts';
import type { SASLOptions } from '@platformatic/kafka';
import { type Compression, isCompression } from './compression.ts';

/** How a log on Kafka is reached, and its bounds. Only the brokers have no default. */
export interface KafkaLogOptions {
  /** `host:port` of some brokers; the others are learnt from them. */
  readonly brokers: readonly string[];
  readonly topic?: string;
  /** Partitions that the log began with; each doubling since has raised its epoch by one. */
  readonly partitionsInitial?: number;
  readonly clientId?: string;
  readonly tls?: TlsOptions;
  readonly sasl?: SASLOptions;
  readonly compression?: Compression;
  readonly connectTimeoutMs?: number;
  /** A request without an answer after this is given up, and its connection closed. */
  readonly requestTimeoutMs?: number;
  /** Reads and administration fail (`dependency_unavailable`) when retries have lasted this long. */
  readonly operationDeadlineMs?: number;
  /** An append fails when it is not acknowledged after this, retries included. */
  readonly deliveryDeadlineMs?: number;
  readonly retryPauseMsMin?: number;
  readonly retryPauseMsMax?: number;
  /** Records of one partition are sent together up to this, before compression. */
  readonly batchBytesMax?: number;
  /** Batches of several partitions are sent together up to this. */
  readonly produceRequestBytesMax?: number;
  /** Produce requests under way for one broker; never more than one for a partition. */
  readonly produceRequestsMax?: number;
  /** Appends are refused (`overloaded`) while more than this waits for its acknowledgement. */
  readonly appendQueueBytesMax?: number;
  /** What one fetch may bring for one partition, as stored (compressed). */
  readonly fetchBytesMax?: number;
  /** How long the broker holds a fetch when there is nothing new. */
  readonly fetchWaitMsMax?: number;
  /** Fetched batches kept for the next reads, for all partitions of a reader. */
  readonly cacheBytesMax?: number;
}

export const KAFKA_LOG_DEFAULTS = {
  topic: 'agent-events',
  partitions_initial: 12,
  client_id: 'memplane',
  compression: 'zstd',
  connect_timeout_ms: 3_000,
  request_timeout_ms: 10_000,
  operation_deadline_ms: 15_000,
  delivery_deadline_ms: 20_000,
  retry_pause_ms_min: 20,
  retry_pause_ms_max: 1_000,
  batch_bytes_max: 512 * 1024,
  produce_request_bytes_max: 4 * 1024 * 1024,
  produce_requests_max: 2,
  append_queue_bytes_max: 32 * 1024 * 1024,
  fetch_bytes_max: 512 * 1024,
  fetch_wait_ms_max: 500,
  cache_bytes_max: 16 * 1024 * 1024,
} as const;

/** A record may be this large (value and key); the topic is made so that it takes one alone. */
export const RECORD_BYTES_MAX = 1024 * 1024;

export type ResolvedKafkaOptions = Required<Omit<KafkaLogOptions, 'tls' | 'sasl'>> &
  Pick<KafkaLogOptions, 'tls' | 'sasl'>;

export function resolveKafkaOptions(options: KafkaLogOptions): ResolvedKafkaOptions {
  const d = KAFKA_LOG_DEFAULTS;
  const resolved: ResolvedKafkaOptions = {
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    ...(options.sasl === undefined ? {} : { sasl: options.sasl }),
    brokers: options.brokers,
    topic: options.topic ?? d.topic,
    clientId: options.clientId ?? d.client_id,
    compression: options.compression ?? d.compression,
    partitionsInitial: within('partitionsInitial', options, d.partitions_initial, 1, 10_000),
    connectTimeoutMs: within('connectTimeoutMs', options, d.connect_timeout_ms, 10),
    requestTimeoutMs: within('requestTimeoutMs', options, d.request_timeout_ms, 100),
    operationDeadlineMs: within('operationDeadlineMs', options, d.operation_deadline_ms, 100),
    deliveryDeadlineMs: within('deliveryDeadlineMs', options, d.delivery_deadline_ms, 100),
    retryPauseMsMin: within('retryPauseMsMin', options, d.retry_pause_ms_min, 1),
    retryPauseMsMax: within('retryPauseMsMax', options, d.retry_pause_ms_max, 1),
    batchBytesMax: within('batchBytesMax', options, d.batch_bytes_max, 1024, RECORD_BYTES_MAX),
    produceRequestBytesMax: within(
      'produceRequestBytesMax',
      options,
      d.produce_request_bytes_max,
      1024,
    ),
    produceRequestsMax: within('produceRequestsMax', options, d.produce_requests_max, 1, 5),
    appendQueueBytesMax: within('appendQueueBytesMax', options, d.append_queue_bytes_max, 4096),
    fetchBytesMax: within('fetchBytesMax', options, d.fetch_bytes_max, 1024),
    fetchWaitMsMax: within('fetchWaitMsMax', options, d.fetch_wait_ms_max, 1, 60_000),
    cacheBytesMax: within('cacheBytesMax', options, d.cache_bytes_max, 0),
  };
  if (resolved.brokers.length === 0) {
    throw new MemplaneError('invalid_request', 'At least one broker must be named (host:port)');
  }
  if (!isCompression(resolved.compression)) {
    throw new MemplaneError('invalid_request', 'compression is one of none, gzip, zstd');
  }
  return resolved;
}

type NumberOption = {
  [K in keyof KafkaLogOptions]-?: KafkaLogOptions[K] extends number | undefined ? K : never;
}[keyof KafkaLogOptions];

function within(
  name: NumberOption,
  options: KafkaLogOptions,
  fallback: number,
  min: number,
  max = 2 ** 31 - 1,
): number {
  const value = options[name] ?? fallback;
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new MemplaneError('invalid_request', `${name} is a whole number from ${min} to ${max}`);
}
