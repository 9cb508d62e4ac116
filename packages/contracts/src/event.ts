import { z } from 'zod';
import { LIMITS } from './limits.ts';
import { isEntity } from './names.ts';

/** Any JSON value. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export function isJsonObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Any JSON value. Bodies come out of a JSON parser that has already refused what is no JSON (and
 * depth, forbidden keys, lone surrogates), so that walking the tree once more here would only cost.
 */
export const jsonSchema = z.unknown().meta({ description: 'Any JSON value.' }) as z.ZodType<Json>;

const bytesAtMost = (max: number) => (text: string) =>
  text.length * 3 <= max || Buffer.byteLength(text) <= max;

/**
 * A text of 1 to `max` bytes. One check in place of three: every event has several such texts. The
 * lengths of its JSON schema are in characters, so they are the outer bounds.
 */
const boundedText = (max: number) => {
  const fits = bytesAtMost(max);
  return z
    .string()
    .refine((text) => text !== '' && fits(text), { error: `must have 1 to ${max} bytes` })
    .meta({ minLength: 1, maxLength: max });
};

export const entitySchema = z
  .string()
  .refine(isEntity, { error: 'must be kind/id, each of [A-Za-z0-9._~@-]+, never . or ..' })
  .meta({
    id: 'Entity',
    maxLength: LIMITS.entity_bytes_max,
    pattern: '^[A-Za-z0-9._~@-]+/[A-Za-z0-9._~@-]+$',
    examples: ['user/42'],
  });

export const eventIdSchema = boundedText(LIMITS.event_id_bytes_max).meta({
  examples: ['order-17'],
});

/** Little-endian float32 in base64, or plain numbers. Length is checked against the collection. */
export const embeddingSchema = z
  .strictObject({
    model: boundedText(128),
    values: z.union([
      z.array(z.number()).min(1).max(LIMITS.vector_dimensions_max),
      z.base64().max(Math.ceil((LIMITS.vector_dimensions_max * 4) / 3) * 4),
    ]),
  })
  .meta({ id: 'Embedding' });

export const metadataSchema = z.record(z.string().max(256), jsonSchema).meta({ id: 'Metadata' });

/** Adds or replaces one memory of the entity, or, with `forgotten`, removes it. */
export const memorySchema = z
  .union([
    // The common one first: a union tries its branches in order.
    z.strictObject({
      id: boundedText(LIMITS.memory_id_bytes_max),
      text: z
        .string()
        .max(LIMITS.memory_text_bytes_max)
        .refine(bytesAtMost(LIMITS.memory_text_bytes_max), {
          error: `must be at most ${LIMITS.memory_text_bytes_max} bytes`,
        })
        .optional(),
      metadata: metadataSchema.optional(),
      embedding: embeddingSchema.optional(),
      ttl: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional().meta({
        description: 'Milliseconds, counted from the stamp of the event.',
      }),
    }),
    z.strictObject({ id: boundedText(LIMITS.memory_id_bytes_max), forgotten: z.literal(true) }),
  ])
  .meta({ id: 'MemoryChange' });

/**
 * RFC 3339, in capitals and without leap seconds. Seconds are required there, so a time without
 * them (`10:00Z`, which ISO 8601 allows) is refused.
 */
export const timeSchema = z.iso
  .datetime({ offset: true, error: 'must be an RFC 3339 time, such as 2026-01-31T09:30:00Z' })
  .max(40)
  .refine((text) => text[16] === ':', { error: 'must be an RFC 3339 time, with its seconds' })
  .meta({ examples: ['2026-01-31T09:30:00Z'] });

export const attributesSchema = z
  .record(z.string(), jsonSchema)
  .meta({ description: "A JSON Merge Patch (RFC 7396) for the entity's attributes." });

/** What agents send. Everything else of the CloudEvent is filled in by event-ingest. */
export const shortEventSchema = z
  .strictObject({
    id: eventIdSchema.optional(),
    type: boundedText(LIMITS.event_type_bytes_max),
    entity: entitySchema,
    source: boundedText(LIMITS.source_bytes_max).optional(),
    time: timeSchema.optional(),
    data: jsonSchema.optional(),
    attributes: attributesSchema.optional(),
    memory: memorySchema.optional(),
    correlationId: boundedText(LIMITS.correlation_id_bytes_max).optional(),
    causationId: boundedText(LIMITS.correlation_id_bytes_max).optional(),
  })
  .meta({ id: 'Event' });

export type Embedding = z.infer<typeof embeddingSchema>;
export type MemoryChange = z.infer<typeof memorySchema>;
export type ShortEvent = z.infer<typeof shortEventSchema>;

/** The `data` of a CloudEvent in the log: what the agent said, and what it means for the view. */
export interface EventPayload {
  readonly data?: Json;
  /** RFC 7396 merge patch for the entity's attributes. */
  readonly attributes?: { readonly [key: string]: Json };
  readonly memory?: MemoryChange;
  /** Written by the plane alone: all of the entity before this event is erased. */
  readonly erased?: { readonly erasure: string };
}

/** An event in the log: a CloudEvents 1.0 structured JSON document with the plane's extensions. */
export interface CloudEvent {
  readonly specversion: '1.0';
  readonly id: string;
  readonly type: string;
  readonly source: string;
  /** The entity. */
  readonly subject: string;
  readonly time: string;
  readonly datacontenttype: 'application/json';
  readonly tenant: string;
  readonly partitionkey: string;
  /** See `@memplane/clock`: 12 hex digits of ms, `-`, 4 hex digits of counter. */
  readonly hlc: string;
  readonly zone: string;
  /** base64url SHA-256 of the sender's own fields in RFC 8785 form. */
  readonly digest: string;
  readonly correlationid?: string;
  readonly causationid?: string;
  readonly traceparent?: string;
  /** Of the entity with this event; strong entities only. */
  readonly sequence?: number;
  /** The sequence of the last event that was appended together with this one, where it is another. */
  readonly batchend?: number;
  /** Of the entity's key that `data` was sealed with. */
  readonly keyid?: string;
  readonly data: EventPayload;
}

/**
 * The text of a turn of a dialogue: an event without a `memory` whose `data.text` is a string can
 * be recalled by that text; its memory id is the event's id. Turns are never part of `memories`.
 */
export function turnText(payload: EventPayload): string | undefined {
  if (payload.memory !== undefined) return undefined;
  const data = payload.data;
  if (data === null || typeof data !== 'object' || Array.isArray(data)) return undefined;
  const text = data['text'];
  return typeof text === 'string' && text !== '' ? text : undefined;
}
