import {
  CONTENT_KEY_CHARS,
  type PrepareContext,
  type PreparedEvent,
  textsOf,
  writeEvent,
} from './domain/prepare.ts';
import type { SentEvent } from './domain/sent-event.ts';

/** One event as a body's way into the log makes it. @throws MemplaneError `event_too_large` */
export function prepareEvent(
  sent: SentEvent,
  context: PrepareContext,
  field: string,
): PreparedEvent {
  const { text, ...written } = writeEvent(textsOf(sent), context, field, context.traceparent);
  const contentKey = written.digest.slice(0, CONTENT_KEY_CHARS);
  return { ...written, contentKey, value: Buffer.from(text) };
}
