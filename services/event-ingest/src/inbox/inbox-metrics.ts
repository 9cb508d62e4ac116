import type { Counter, Meter } from '@opentelemetry/api';

export interface InboxMetrics {
  /** Messages by `outcome`: `appended`, `duplicate`, `retried`, `dead`; `slowed` each time one waits. */
  readonly messages: Counter;
  /** By `error.type`. */
  readonly deadLetters: Counter;
}

export function createInboxMetrics(meter: Meter): InboxMetrics {
  return {
    messages: meter.createCounter('memplane.ingest.inbox.messages', { unit: '{message}' }),
    deadLetters: meter.createCounter('memplane.ingest.dead_letters', { unit: '{message}' }),
  };
}
