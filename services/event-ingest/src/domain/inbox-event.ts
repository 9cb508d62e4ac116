import { LIMITS, MemplaneError } from '@memplane/contracts';
import { parseJson } from '@memplane/runtime/json-body';
import { unpackBody } from './packed-body.ts';
import type { BodyOrder, PreparedBody } from './prepare-body.ts';
import { checkEvent } from './read-body.ts';
import { isCloudEvent } from './sent-event.ts';
import { WrittenEvents } from './written-events.ts';

/** A message of `agent-inbox`: the event in it, and what stands in for what it does not say. */
export interface InboxEvent {
  /** The short form or a CloudEvent, to be checked. */
  readonly value: unknown;
  /** How problems name it. */
  readonly field: string;
  /** The same at every delivery of the message. */
  readonly fallbackId: string;
  readonly fallbackSource: string | undefined;
  readonly traceparent: string | undefined;
  readonly bytes: number;
}

type Members = Readonly<Record<string, unknown>>;

/**
 * Finds the event in a message. A sidecar puts what is published to it into a CloudEvent of its own
 * making, whose `data` is the short form; a publisher's own CloudEvent passes as it is; and whoever
 * writes to the topic directly needs no envelope.
 * @param placeId names the message by its place in the topic
 * @throws MemplaneError permanent, that names the fault
 */
export function readInboxEvent(bytes: Buffer, placeId: string): InboxEvent {
  const value = parseJson(bytes, 'message');
  if (!isMembers(value)) throw wrong('message', 'must be one event, as a JSON object');
  const bare = { traceparent: undefined, fallbackSource: undefined, fallbackId: placeId };
  const size = { bytes: bytes.length };
  if (!isCloudEvent(value)) return { value, field: 'message', ...bare, ...size };
  const said = {
    traceparent: traceparentOf(value['traceparent']),
    fallbackSource: shortText(value['source'], LIMITS.source_bytes_max),
    fallbackId: shortText(value['id'], LIMITS.event_id_bytes_max) ?? placeId,
    ...size,
  };
  const { data } = value;
  if (isMembers(data) && Object.hasOwn(data, 'entity')) {
    return { value: data, field: 'message.data', ...said };
  }
  if (Object.hasOwn(value, 'subject')) {
    return { value: ownCloudEvent(value, said.traceparent), field: 'message', ...said };
  }
  if (!isMembers(data)) {
    throw wrong('message.data', 'must be one event: publish it with content type application/json');
  }
  return { value: data, field: 'message.data', ...said };
}

/**
 * Checks the event and writes it out.
 * @throws MemplaneError permanent, that names the first wrong field
 */
export function prepareInboxEvent(
  { value, field, fallbackId, fallbackSource, traceparent, bytes }: InboxEvent,
  order: BodyOrder,
): PreparedBody {
  const written = new WrittenEvents(
    {
      ...order,
      defaultSource: fallbackSource ?? order.defaultSource,
      traceparent: traceparent ?? order.traceparent,
      newId: () => fallbackId,
    },
    bytes,
  );
  written.addChecked(checkEvent(value, field, order));
  // Its id may have come before: a message is delivered again with the id that it was given.
  return { ...unpackBody(written.pack(false), order.tenant), madeIds: [] };
}

/** What a sidecar adds to a CloudEvent that passes through it, and what says nothing to the plane. */
const CARRIAGE = ['topic', 'pubsubname', 'traceid', 'traceparent', 'tracestate', 'expiration'];
const NOT_KEPT: ReadonlySet<string> = new Set([...CARRIAGE, 'dataschema']);
const PAYLOAD: ReadonlySet<string> = new Set(['data', 'attributes', 'memory']);

/** A publisher's own CloudEvent. Data of other forms than the plane's payload is the event's data. */
function ownCloudEvent(envelope: Members, traceparent: string | undefined): Members {
  const event: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(envelope)) {
    if (!NOT_KEPT.has(name)) event[name] = value;
  }
  if (traceparent !== undefined) event['traceparent'] = traceparent;
  const { data } = envelope;
  const isPayload = isMembers(data) && Object.keys(data).every((name) => PAYLOAD.has(name));
  if (data !== undefined && !isPayload) event['data'] = { data };
  return event;
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function shortText(value: unknown, bytesMax: number): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  return Buffer.byteLength(value) <= bytesMax ? value : undefined;
}

function traceparentOf(value: unknown): string | undefined {
  const isOne =
    typeof value === 'string' && /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(value);
  return isOne ? value : undefined;
}

function wrong(field: string, why: string): MemplaneError {
  return new MemplaneError('invalid_event', `${field}: ${why}.`, { field });
}
