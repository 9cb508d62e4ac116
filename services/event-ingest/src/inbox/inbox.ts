import {
  type AcceptedEvent,
  type AppendAnswer,
  DEFAULT_TENANT,
  MemplaneError,
} from '@memplane/contracts';
import type { Logger } from '@memplane/runtime';
import { pause, traceparentOf } from '@memplane/runtime';
import type { DeliveryContext, InboundMessage } from '@memplane/runtime/dapr';
import {
  type DeadLetter,
  type DeadLetterLog,
  type KeptDeadLetter,
  reasonOf,
} from '../domain/dead-letter.ts';
import { type InboxEvent, prepareInboxEvent, readInboxEvent } from '../domain/inbox-event.ts';
import type { Ingest } from '../ingest.ts';
import { ANONYMOUS } from '../routes/append-events.ts';
import type { InboxMetrics } from './inbox-metrics.ts';

export interface InboxParts {
  readonly ingest: Ingest;
  readonly deadLetters: DeadLetterLog;
  readonly dimensions: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly metrics: InboxMetrics;
  readonly logger: Logger;
}

/** Appends what is published to `agent-inbox`; keeps what can never be appended. */
export class Inbox {
  readonly #parts: InboxParts;

  constructor(parts: InboxParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when the message's event is durable. Where the plane has too much to do it waits, for
   * as long as the delivery may take: the sidecar brings no more meanwhile, and publishers notice.
   * @throws MemplaneError
   */
  async take(
    message: InboundMessage,
    { trace, signal }: Pick<DeliveryContext, 'trace' | 'signal'>,
  ): Promise<void> {
    const event = readInboxEvent(message.bytes, placeIdOf(message));
    const append = () => this.#append(event, traceparentOf(trace));
    const accepted = await patiently(append, signal, () => {
      this.#parts.metrics.messages.add(1, { outcome: 'slowed' });
    });
    const outcome = accepted.duplicate ? 'duplicate' : 'appended';
    this.#parts.metrics.messages.add(1, { outcome });
  }

  /** Keeps a message that {@link take} refuses for good. */
  async drop(message: InboundMessage, error: MemplaneError): Promise<void> {
    const { topic, key, partition, offset, timestampMs, bytes } = message;
    const { deadLetters, metrics, logger, now } = this.#parts;
    const deadAt = new Date(now()).toISOString();
    const reason = reasonOf(error);
    await deadLetters.keep({ reason, topic, key, partition, offset, timestampMs, deadAt, bytes });
    metrics.messages.add(1, { outcome: 'dead' });
    metrics.deadLetters.add(1, { 'error.type': error.code });
    const cause = error.code === 'internal' ? { err: error } : {};
    logger.warn({ topic, partition, offset, reason, ...cause }, 'a message was dead-lettered');
  }

  again({ topic, partition, offset }: InboundMessage, error: MemplaneError): void {
    this.#parts.metrics.messages.add(1, { outcome: 'retried' });
    const { code, message } = error;
    const details = {
      topic,
      partition,
      offset,
      code,
      err: code === 'internal' ? error : undefined,
    };
    this.#parts.logger.info(details, `a message is to come again: ${message}`);
  }

  /**
   * Appends the event of a dead letter: at a new position, whatever came after it.
   * @param instead an event in the short form that takes its place
   * @throws MemplaneError
   */
  async redrive({ letter }: KeptDeadLetter, instead?: unknown): Promise<AcceptedEvent> {
    const event = readInboxEvent(
      instead === undefined ? letter.bytes : Buffer.from(JSON.stringify(instead)),
      placeIdOf(letter),
    );
    return this.#append(event, undefined);
  }

  async #append(event: InboxEvent, traceparent: string | undefined): Promise<AcceptedEvent> {
    const { ingest, dimensions, now } = this.#parts;
    const body = prepareInboxEvent(event, {
      tenant: DEFAULT_TENANT,
      dimensions,
      defaultSource: ANONYMOUS,
      now: new Date(now()).toISOString(),
      traceparent,
    });
    const [accepted] = (JSON.parse(await ingest.append(body)) as AppendAnswer).accepted;
    if (!accepted) throw new MemplaneError('internal', 'an event without an answer');
    return accepted;
  }
}

/** A slowed message asks again no more often than this. */
const SLOWED_MS_MIN = 50;
/** Nor more seldom: a delivery is short. */
const SLOWED_MS_MAX = 2_000;

/** Repeats what is refused for too much load, when it is told to, until the signal is aborted. */
async function patiently<T>(
  work: () => Promise<T>,
  signal: AbortSignal,
  onSlowed: () => void,
): Promise<T> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const isPressure = error instanceof MemplaneError && error.status === 429;
      if (!isPressure || signal.aborted) throw error;
      onSlowed();
      const askedMs = error.retryAfterMs ?? SLOWED_MS_MIN;
      await pause(Math.min(SLOWED_MS_MAX, Math.max(SLOWED_MS_MIN, askedMs)), signal);
      if (signal.aborted) throw error;
    }
  }
}

/** The same for a message at each delivery, and of no other message. */
function placeIdOf({
  topic,
  partition,
  offset,
  timestampMs,
}: Pick<DeadLetter, 'topic' | 'partition' | 'offset' | 'timestampMs'>): string {
  return `${topic}.${partition ?? ''}.${offset ?? ''}.${timestampMs ?? ''}`;
}
