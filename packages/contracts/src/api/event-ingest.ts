import { z } from 'zod';
import {
  attributesSchema,
  entitySchema,
  eventIdSchema,
  jsonSchema,
  memorySchema,
  shortEventSchema,
  timeSchema,
} from '../event.ts';
import { LIMITS } from '../limits.ts';
import { NAME_PATTERN, TENANT_PATTERN } from '../names.ts';
import { operation } from '../operation.ts';

/** What only entities of a strong zone take; elsewhere `zone_not_strong`. */
const strongMembers = {
  expectedSequence: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional().meta({
    description:
      'Append only if the entity is at this sequence. In an array it stands in the first event, and all events are of its entity. Strong zones only.',
  }),
  lease: z.string().regex(NAME_PATTERN).optional().meta({
    description: 'The lease whose fencing token this is; as `expectedSequence` in arrays.',
  }),
  fencingToken: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional().meta({
    description: 'Append only if no newer holder of the lease is known. Strong zones only.',
  }),
};

/** The short form, with what a strong append adds. */
export const eventToAppendSchema = shortEventSchema
  .extend(strongMembers)
  .meta({ id: 'EventToAppend' });

const shape = shortEventSchema.shape;

/** Where the plane's own payload stands in a CloudEvent: see `EventPayload`. */
const payloadSchema = z
  .strictObject({
    data: jsonSchema.optional(),
    attributes: attributesSchema.optional(),
    memory: memorySchema.optional(),
  })
  .meta({ id: 'EventPayload' });

const stamped = (what: string) => ({ description: `${what} Stamped anew.` });

const stampedNumber = (what: string) =>
  z.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional().meta(stamped(what));

/**
 * A finished CloudEvent 1.0 in structured JSON, as a feed gives it. What the plane stamps itself is
 * accepted and made anew, so that an event of one plane can be appended to another as it is.
 */
export const cloudEventToAppendSchema = z
  .strictObject({
    specversion: z.literal('1.0'),
    id: eventIdSchema,
    type: shape.type,
    source: shape.source.unwrap(),
    subject: entitySchema,
    time: timeSchema.optional(),
    datacontenttype: z.literal('application/json').optional(),
    correlationid: shape.correlationId,
    causationid: shape.causationId,
    traceparent: z
      .string()
      .regex(/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/)
      .optional(),
    data: payloadSchema.optional(),
    tenant: z
      .string()
      .regex(TENANT_PATTERN)
      .optional()
      .meta({ description: 'Must be the tenant of the caller.' }),
    partitionkey: z
      .string()
      .max(LIMITS.entity_bytes_max + 64)
      .optional()
      .meta({ description: 'Must be the key that the plane computes.' }),
    hlc: z
      .string()
      .regex(/^[0-9a-f]{12}-[0-9a-f]{4}$/)
      .optional()
      .meta(stamped('The clock takes it in; refused when it is too far ahead.')),
    zone: z.string().max(64).optional().meta(stamped('The zone of the entity.')),
    digest: z.string().max(64).optional().meta(stamped('The digest of the content.')),
    sequence: stampedNumber('The sequence of a strong entity.'),
    batchend: stampedNumber('The last sequence of the batch of a strong entity.'),
    ...strongMembers,
  })
  .meta({ id: 'CloudEventToAppend' });

export type EventToAppend = z.infer<typeof eventToAppendSchema>;
export type CloudEventToAppend = z.infer<typeof cloudEventToAppendSchema>;

const anyEventSchema = z.union([eventToAppendSchema, cloudEventToAppendSchema]);

export const appendBodySchema = z.union([
  anyEventSchema,
  z.array(anyEventSchema).max(LIMITS.batch_events_max),
]);

export const acceptedEventSchema = z
  .strictObject({
    id: z.string(),
    entity: z.string(),
    partition: z.number().int(),
    offset: z.number().int(),
    hlc: z.string(),
    duplicate: z.boolean().meta({
      description: 'The event had been appended before; the position is that of the first time.',
    }),
    sequence: z.number().int().min(1).optional().meta({
      description: 'The sequence of a strong entity with this event.',
    }),
  })
  .meta({ id: 'AcceptedEvent' });

export const appendAnswerSchema = z
  .strictObject({
    accepted: z.array(acceptedEventSchema).meta({ description: 'In the order of the request.' }),
    token: z.string().meta({ description: 'A read given this token includes all of them.' }),
  })
  .meta({ id: 'AppendAnswer' });

export type AcceptedEvent = z.infer<typeof acceptedEventSchema>;
export type AppendAnswer = z.infer<typeof appendAnswerSchema>;

export const appendEvents = operation({
  id: 'appendEvents',
  method: 'post',
  path: '/v1/events',
  role: 'writer',
  summary: 'Append one event or up to 1,000; they are durable when this answers.',
  tags: ['events'],
  body: appendBodySchema,
  responses: {
    201: { description: 'Durable, at these positions.', schema: appendAnswerSchema },
  },
  errors: [
    'invalid_event',
    'event_too_large',
    'wrong_dimensions',
    'hlc_too_far_ahead',
    'zone_not_strong',
    'zone_changing',
    'sequence_conflict',
    'stale_fencing_token',
    'fencing_token_required',
    'strong_batch_too_large',
    'no_quorum',
    'not_yet_visible',
    'id_reused',
    'stored_quota_exceeded',
    'archive_behind',
    'views_behind',
    'index_behind',
    'storage_full',
    'storage_unavailable',
    'dependency_unavailable',
  ],
});
