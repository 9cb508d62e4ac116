import { MemplaneError } from '@memplane/contracts';
import { z } from 'zod';
import { parseJson } from '../json-body.ts';
import { validate } from '../validate.ts';

/** What a delivered message is, as far as the sidecar tells. */
export interface InboundMessage {
  /** Unique in its delivery; goes into the answer. */
  readonly entryId: string;
  readonly topic: string;
  /** The record's key in Kafka. */
  readonly key: string | undefined;
  readonly partition: number | undefined;
  readonly offset: number | undefined;
  /** The record's time, in ms since 1970. */
  readonly timestampMs: number | undefined;
  /** All that the sidecar tells, the record's headers among it. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The record's value, byte for byte where the subscription is a raw one. */
  readonly bytes: Buffer;
}

/** A CloudEvent 1.0 in structured JSON, with whatever extensions it has. */
export interface InboundCloudEvent {
  readonly specversion: string;
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject?: string;
  readonly datacontenttype?: string;
  readonly data?: unknown;
  readonly data_base64?: string;
  readonly [extension: string]: unknown;
}

const cloudEventSchema = z.looseObject({
  specversion: z.literal('1.0'),
  id: z.string().min(1),
  source: z.string().min(1),
  type: z.string().min(1),
  subject: z.string().optional(),
  datacontenttype: z.string().optional(),
  data_base64: z.string().optional(),
});

/**
 * The CloudEvent that a message's bytes hold.
 * @throws MemplaneError permanent: `invalid_json`, `invalid_encoding`, `invalid_event`, …
 */
export function cloudEventOf(message: InboundMessage): InboundCloudEvent {
  const value = parseJson(message.bytes, 'message');
  return validate(cloudEventSchema, value, 'message', 'invalid_event') as InboundCloudEvent;
}

const bulkSchema = z.looseObject({
  entries: z.array(
    z.looseObject({
      entryId: z.string(),
      event: z.unknown(),
      metadata: z.record(z.string(), z.string()).nullish(),
    }),
  ),
});

/** The entry of a delivery that has no bulk around it. */
export const SINGLE_ENTRY = 'single';

export interface Delivery {
  readonly isBulk: boolean;
  readonly messages: readonly InboundMessage[];
}

export interface DeliveryOptions {
  readonly topic: string;
  /** The subscription's `rawPayload`: the sidecar hands the bytes over in base64. */
  readonly isRaw: boolean;
}

/**
 * Reads what a sidecar delivers, in bulk or a single message.
 * @param headers where the metadata of a single message are
 * @throws MemplaneError for what no sidecar sends
 */
export function readDelivery(
  body: unknown,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  { topic, isRaw }: DeliveryOptions,
): Delivery {
  const isBulk = Array.isArray((body as { entries?: unknown } | null)?.entries);
  if (isBulk) {
    const { entries } = validate(bulkSchema, body, 'body');
    const messages = entries.map(({ entryId, event, metadata }) =>
      messageOf(entryId, topic, metadata ?? {}, isRaw ? bytesOf(event) : jsonBytes(event)),
    );
    return { isBulk, messages };
  }
  const bytes = isRaw ? bytesOf((body as { data_base64?: unknown })?.data_base64) : jsonBytes(body);
  return { isBulk, messages: [messageOf(SINGLE_ENTRY, topic, singles(headers), bytes)] };
}

function bytesOf(base64: unknown): Buffer {
  if (typeof base64 === 'string') return Buffer.from(base64, 'base64');
  throw new MemplaneError('invalid_request', 'body: a raw message comes in base64.', {
    field: 'body',
  });
}

function jsonBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value ?? null));
}

function singles(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string') found[name] = value;
  }
  return found;
}

function messageOf(
  entryId: string,
  topic: string,
  metadata: Readonly<Record<string, string>>,
  bytes: Buffer,
): InboundMessage {
  return {
    entryId,
    topic,
    key: metadata['__key'],
    partition: wholeNumber(metadata['__partition']),
    offset: wholeNumber(metadata['__offset']),
    timestampMs: wholeNumber(metadata['__timestamp']),
    metadata,
    bytes,
  };
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined;
}
