import {
  CONTENT_KEY_CHARS,
  type PrepareContext,
  type PreparedEvent,
  textsOf,
  writeEvent,
} from '../prepare.ts';

const TYPE = 'EntityErased';
const SOURCE = 'event-ingest';
const EMPTY_DATA = ',"data":{}}';

/**
 * The event that erases its entity: all before it counts as never said. Its `data` has a member that
 * no sender can write; it is never sealed.
 */
export function erasureEvent(
  entity: string,
  erasure: string,
  { tenant, now }: Pick<PrepareContext, 'tenant' | 'now'>,
  attempt = 0,
): PreparedEvent {
  const id = `erasure-${erasure}${attempt === 0 ? '' : `-${attempt}`}`;
  const context = { tenant, now, defaultSource: SOURCE, traceparent: undefined, newId: () => id };
  const texts = textsOf({ id, type: TYPE, entity, source: SOURCE });
  const { text, ...written } = writeEvent(texts, context, 'body', undefined);
  if (!text.endsWith(EMPTY_DATA)) throw new Error('an event with data that has none');
  const data = `,"data":{"erased":{"erasure":${JSON.stringify(erasure)}}}}`;
  const value = Buffer.from(text.slice(0, -EMPTY_DATA.length) + data);
  return { ...written, contentKey: written.digest.slice(0, CONTENT_KEY_CHARS), value };
}
