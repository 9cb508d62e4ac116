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
import { TOPICS } from '../names.ts';
import { crdtAlertSchema } from './crdt-sync.ts';
import { storedDeadLetterSchema } from './dead-letters.ts';
import { viewFeedLineSchema } from './feeds.ts';

const shape = shortEventSchema.shape;

/** An event as it lies in `agent-events`: see `CloudEvent`, which is the same in types. */
export const logEventSchema = z
  .strictObject({
    specversion: z.literal('1.0'),
    hlc: z
      .string()
      .regex(/^[0-9a-f]{12}-[0-9a-f]{4}$/)
      .meta({ description: 'The stamp that orders: 12 hex digits of ms, a dash, 4 of counter.' }),
    id: eventIdSchema,
    type: shape.type,
    source: shape.source.unwrap(),
    subject: entitySchema,
    time: timeSchema,
    datacontenttype: z.literal('application/json'),
    tenant: z.string(),
    partitionkey: z.string().meta({ description: "The record's key." }),
    zone: z.string(),
    digest: z.string().meta({
      description: "base64url SHA-256 of the sender's own fields in RFC 8785 form.",
    }),
    correlationid: shape.correlationId,
    causationid: shape.causationId,
    traceparent: z.string().optional(),
    sequence: z.number().int().optional().meta({ description: 'Strong entities only.' }),
    batchend: z.number().int().optional().meta({
      description: 'The last sequence of the batch of a strong entity, where that is another.',
    }),
    data: z.strictObject({
      data: jsonSchema.optional(),
      attributes: attributesSchema.optional(),
      memory: memorySchema.optional(),
    }),
  })
  .meta({ id: 'LogEvent' });

/** What each topic carries, and how it is keyed: the source of the AsyncAPI document. */
export const TOPIC_MESSAGES = {
  [TOPICS.events]: {
    description:
      'Every event, in the order of its entity. Key: the partition key; partition: murmur2 of it, ' +
      'as the Java client of Kafka computes it.',
    schema: logEventSchema,
    contentType: 'application/cloudevents+json',
  },
  [TOPICS.inbox]: {
    description: 'Events to append, in the short form. Key: the entity, else no order is promised.',
    schema: shortEventSchema,
    contentType: 'application/json',
  },
  [TOPICS.inboxDead]: {
    description:
      'Messages of agent-inbox that could not be appended for good, with the reason. A re-driven ' +
      'one takes a new position.',
    schema: storedDeadLetterSchema,
    contentType: 'application/json',
  },
  [TOPICS.views]: {
    description: 'The view of an entity after its newest change; compacted, keyed by entity.',
    schema: viewFeedLineSchema,
    contentType: 'application/json',
  },
  [TOPICS.alerts]: {
    description: 'Alarms of the replicas.',
    schema: crdtAlertSchema,
    contentType: 'application/json',
  },
} as const;
