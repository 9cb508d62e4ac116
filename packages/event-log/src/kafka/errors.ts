import { MemplaneError } from '@memplane/contracts';
import { protocolAPIsById, protocolErrorsCodesById, ResponseError } from '@platformatic/kafka';

/** The answers of a broker that the driver tells apart, by Kafka's numbers. */
export const KAFKA = {
  none: 0,
  offsetOutOfRange: 1,
  corruptMessage: 2,
  unknownTopicOrPartition: 3,
  messageTooLarge: 10,
  unknownMemberId: 25,
  topicAuthorizationFailed: 29,
  clusterAuthorizationFailed: 31,
  topicAlreadyExists: 36,
  outOfOrderSequence: 45,
  duplicateSequence: 46,
  invalidProducerEpoch: 47,
  unknownProducerId: 59,
  unknownTopicId: 100,
  fencedMemberEpoch: 110,
  staleMemberEpoch: 113,
} as const;

/** Answers that a repetition can't change. All others are tried again until the deadline. */
const PERMANENT = new Set<number>([
  KAFKA.messageTooLarge,
  17, // invalid topic
  18, // record list too large
  KAFKA.topicAuthorizationFailed,
  30, // group authorization
  KAFKA.clusterAuthorizationFailed,
  32, // invalid timestamp
  35, // unsupported version
  37, // invalid partitions
  38, // invalid replication factor
  42, // invalid request
  43, // unsupported format
  44, // policy violation
  58, // SASL authentication
  76, // unsupported compression
  87, // invalid record
]);

/** An answer of a broker that is not what was asked for. */
export class BrokerError extends Error {
  readonly number: number;

  constructor(number: number, doing: string) {
    super(`While ${doing}, the broker answered ${kafkaErrorName(number)}`);
    this.name = 'BrokerError';
    this.number = number;
  }

  get permanent(): boolean {
    return PERMANENT.has(this.number);
  }
}

/** What the library makes an exception of, by its number; anything else as it is. */
export function toBrokerError(error: unknown, apiKey: number): unknown {
  if (!(error instanceof ResponseError)) return error;
  for (const one of error.errors) {
    if ('apiCode' in one && typeof one.apiCode === 'number') {
      return new BrokerError(one.apiCode, `calling ${protocolAPIsById[apiKey]}`);
    }
  }
  return error;
}

export function kafkaErrorName(number: number): string {
  return protocolErrorsCodesById[number] ?? `error ${number}`;
}

/** Whether a failure may pass when the same thing is tried again. Torn connections do. */
export function mayPass(error: unknown): boolean {
  if (error instanceof MemplaneError) return error.transient;
  return !(error instanceof BrokerError && error.permanent);
}

/** Says a failure in the plane's own codes. */
export function toLogError(
  error: unknown,
  doing: string,
  code: 'storage_unavailable' | 'dependency_unavailable',
): MemplaneError {
  if (error instanceof MemplaneError) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new MemplaneError(code, `While ${doing}: ${why}`, { retryAfterMs: 1_000, cause: error });
}

export function damagedBatch(
  what: string,
  partition: number,
  offset: number,
  cause?: unknown,
): MemplaneError {
  const detail = `${what} (partition ${partition}, offset ${offset})`;
  return new MemplaneError('storage_damaged', detail, { extra: { partition, offset }, cause });
}

export function expired(partition: number, from: number, start: number): MemplaneError {
  return new MemplaneError(
    'history_expired',
    `Partition ${partition} begins at offset ${start}, after ${from}`,
    { extra: { partition, start } },
  );
}
