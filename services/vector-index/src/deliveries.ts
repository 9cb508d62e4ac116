import type { Logger } from '@memplane/runtime';
import type { DeliveryHandler, DeliveryStatus } from '@memplane/runtime/dapr';
import type { AppliedGate } from './applied-gate.ts';

export interface DeliveryParts {
  readonly gate: AppliedGate;
  readonly logger: Logger;
  /** Longest that a delivery waits to be stored before it is asked for again. */
  readonly deliveryWaitMs: number;
  /** This instance was given new events of a partition. */
  readonly claim: (partition: number) => void;
}

/**
 * Live events by subscription. A delivery says that an event is there and that this instance is the
 * one to store its vector; what it means for recall (a second copy means nothing) is the views' to
 * say, so its content comes from their feed, which also fills every gap. It is acknowledged once
 * its partition is applied up to it, on disk; offsets of the consumer group are no truth here.
 */
export function deliveryHandler(parts: DeliveryParts): DeliveryHandler {
  const { gate, logger, deliveryWaitMs, claim } = parts;
  return async (messages, { signal }) => {
    const ends = new Map<number, number>();
    for (const { partition, offset, topic } of messages) {
      if (partition === undefined || offset === undefined) {
        logger.error({ topic }, 'a delivery without its place in the log: the feed brings it');
        continue;
      }
      ends.set(partition, Math.max(ends.get(partition) ?? -1, offset));
    }
    const stored = new Set<number>();
    await Promise.all(
      [...ends].map(async ([partition, offset]) => {
        claim(partition);
        try {
          await gate.wait({ offsets: new Map([[partition, offset]]) }, deliveryWaitMs, signal);
          stored.add(partition);
        } catch (err) {
          logger.debug({ err, partition, offset }, 'a delivery is not applied yet');
        }
      }),
    );
    return messages.map(
      ({ partition }): DeliveryStatus =>
        partition === undefined || stored.has(partition) ? 'SUCCESS' : 'RETRY',
    );
  };
}
