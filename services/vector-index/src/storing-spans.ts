import { recordSpans, SpanKind, type TracedEvent } from '@memplane/runtime';
import type { Tracer } from '@opentelemetry/api';
import type { FeedLine } from './domain/ports.ts';

/** Events whose vectors are followed at once; of more, the oldest lose their span. */
const FOLLOWED_EVENTS_MAX = 1_000;

interface Followed {
  readonly partition: number;
  readonly event: TracedEvent;
  readonly startMs: number;
}

/**
 * Continues the trace of each event that brought a vector up to the moment from which the vector is
 * stored elsewhere, for certain: that comes later than the indexing, with many others.
 */
export class StoringSpans {
  readonly #tracer: Tracer;
  #followed: Followed[] = [];

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /** Records that were indexed. @param startMs since 1970 */
  indexed(lines: readonly FeedLine[], startMs: number): void {
    for (const { partition, offset, event } of lines) {
      if (event?.traceparent === undefined) continue;
      const { traceparent, subject: entity, data } = event;
      const { memory } = data;
      if (memory === undefined || !('embedding' in memory)) continue;
      this.#followed.push({ partition, event: { traceparent, entity, offset }, startMs });
    }
    if (this.#followed.length > FOLLOWED_EVENTS_MAX) {
      this.#followed = this.#followed.slice(-FOLLOWED_EVENTS_MAX);
    }
  }

  /**
   * Looks for what is stored by now.
   * @param storedOf the last offset of a partition up to which all is stored
   * @param nowMs since 1970
   */
  look(storedOf: (partition: number) => number, nowMs: number): void {
    const isStored = ({ partition, event }: Followed) => event.offset <= storedOf(partition);
    for (const { event, startMs } of this.#followed.filter(isStored)) {
      const work = { startMs, endMs: nowMs, kind: SpanKind.CLIENT };
      recordSpans(this.#tracer, 'store vector', work, [event]);
    }
    this.#followed = this.#followed.filter((one) => !isStored(one));
  }
}
