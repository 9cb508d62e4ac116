import { z } from 'zod';
import { entitySchema, eventIdSchema, jsonSchema, metadataSchema } from '../event.ts';
import { LIMITS } from '../limits.ts';
import { operation } from '../operation.ts';

const SEGMENT = /^[A-Za-z0-9._~@-]+$/;
const tokenSchema = z.string().min(1).max(8192);

const segmentSchema = z.string().max(LIMITS.entity_bytes_max).regex(SEGMENT);

/** The two segments of an entity in a path. */
export const entityParamsSchema = z
  .strictObject({
    kind: segmentSchema.meta({ examples: ['user'] }),
    id: segmentSchema.meta({ examples: ['42'] }),
  })
  .refine(({ kind, id }) => entitySchema.safeParse(`${kind}/${id}`).success, {
    error: 'must be kind/id of at most 256 bytes, never . or ..',
    path: ['id'],
  });

const afterSchema = z
  .union([tokenSchema, z.array(tokenSchema).min(1).max(LIMITS.tokens_per_read_max)])
  .meta({ description: 'Tokens whose positions the answer must include; may be repeated.' });

/** A whole number in a query. */
export const digits = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .pipe(z.number().int().min(min).max(max))
    .meta({ override: { type: 'integer', minimum: min, maximum: max } });

/** Offsets have 48 bits. */
const OFFSET_MAX = 2 ** 48 - 1;

const waitMsQuery = digits(0, LIMITS.wait_ms_max).meta({
  description: `How long to wait for the position, in ms; default ${LIMITS.wait_ms_default}.`,
});
const asOfSchema = z
  .string()
  .min(1)
  .max(8192)
  .meta({
    description:
      '`offset:N`, `offset:EPOCH.N`, `event:ID`, `time:T`, `token:T`, or bare a time (RFC 3339), a ' +
      'token (`mpt_…`) or else an event id.',
    examples: ['offset:17', 'event:order-17', '2026-11-24T00:00:00Z'],
  });

const offsetSchema = z.number().int().min(-1);

export const asOfPositionSchema = z
  .strictObject({
    epoch: z.number().int().min(0),
    partition: z.number().int().min(0),
    /** The last offset that the answer includes; -1: none. */
    offset: offsetSchema,
    /** The newest stamp of the entity within it. */
    hlc: z.string(),
  })
  .meta({ id: 'AsOf' });

export const memoryViewSchema = z
  .strictObject({
    id: z.string(),
    text: z.string().optional(),
    metadata: metadataSchema.optional(),
    ttl: z.number().int().optional(),
    /** The event that brought this version, and where it is. */
    eventId: z.string(),
    offset: offsetSchema,
    hlc: z.string(),
    embedding: z.strictObject({ model: z.string(), dimensions: z.number().int() }).optional(),
  })
  .meta({ id: 'MemoryView' });

const attributesSchema = z.record(z.string(), jsonSchema);

export const entityViewSchema = z
  .strictObject({
    entity: entitySchema,
    attributes: attributesSchema,
    /** In the order of their events. */
    memories: z.array(memoryViewSchema),
    /** The number of applied events of the entity. */
    sequence: z.number().int().min(0),
    asOf: asOfPositionSchema,
    /** The time at which `ttl` was judged. */
    time: z.string(),
    timeMs: z.number().int().min(0),
    /** The whole cut, with its time: given as `asOf`, it repeats this answer. */
    token: tokenSchema,
  })
  .meta({ id: 'EntityView' });

/** What a read of the views may answer. */
export const readErrors = [
  'invalid_as_of',
  'invalid_token',
  'token_of_another_log',
  'not_found',
  'history_expired',
  'not_yet_visible',
  'storage_damaged',
  'owner_moving',
] as const;

export const getEntity = operation({
  id: 'getEntity',
  method: 'get',
  path: '/v1/entities/{kind}/{id}',
  role: 'reader',
  summary: 'The view of an entity, now or at a point in time',
  tags: ['views'],
  params: entityParamsSchema,
  query: z.strictObject({
    after: afterSchema.optional(),
    asOf: asOfSchema.optional(),
    waitMs: waitMsQuery.optional(),
    consistency: z.enum(['eventual', 'linearizable']).optional().meta({
      description:
        '`linearizable`: with every append that was answered before. Strong entities only.',
    }),
  }),
  responses: { 200: { description: 'The view.', schema: entityViewSchema } },
  errors: [
    ...readErrors,
    'zone_not_strong',
    'zone_changing',
    'erasing',
    'no_quorum',
    'not_implemented',
    'dependency_unavailable',
  ],
});

/** An event as it is kept. */
export const storedEventSchema = z
  .strictObject({
    /** The CloudEvent. */
    event: z.looseObject({ id: z.string(), type: z.string(), subject: z.string() }),
    partition: z.number().int().min(0),
    epoch: z.number().int().min(0),
    offset: z.number().int().min(0),
    /** The entity's sequence with this event. */
    sequence: z.number().int().min(0),
    /** Kept to be seen, not applied: its id was used before for other content. */
    rejected: z.literal('id_reused').optional(),
  })
  .meta({ id: 'StoredEvent' });

export const getHistory = operation({
  id: 'getHistory',
  method: 'get',
  path: '/v1/entities/{kind}/{id}/history',
  role: 'reader',
  summary: 'The events of an entity, in order',
  tags: ['history'],
  params: entityParamsSchema,
  query: z.strictObject({
    from: digits(0, OFFSET_MAX)
      .optional()
      .meta({ description: 'The first offset; default: the beginning.' }),
    limit: digits(1, LIMITS.history_limit_max).optional().meta({ description: 'Default 100.' }),
    after: afterSchema.optional(),
    waitMs: waitMsQuery.optional(),
  }),
  responses: {
    200: {
      description: 'A page.',
      schema: z.strictObject({
        entity: entitySchema,
        events: z.array(storedEventSchema),
        /** The `from` of the next page; absent on the last one. */
        next: z.number().int().min(0).optional(),
        /** The offset up to which the page speaks. */
        asOf: z.strictObject({
          epoch: z.number().int().min(0),
          partition: z.number().int().min(0),
          offset: offsetSchema,
        }),
      }),
    },
  },
  errors: [...readErrors],
});

const eventQuerySchema = z.strictObject({
  entity: entitySchema.optional(),
  id: eventIdSchema,
  after: afterSchema.optional(),
  waitMs: waitMsQuery.optional(),
});

export const getEvent = operation({
  id: 'getEvent',
  method: 'get',
  path: '/v1/events',
  role: 'reader',
  summary: 'An event by its id',
  tags: ['history'],
  query: eventQuerySchema,
  responses: { 200: { description: 'The event.', schema: storedEventSchema } },
  errors: [
    'not_found',
    'ambiguous_id',
    'history_expired',
    'invalid_token',
    'token_of_another_log',
    'not_yet_visible',
    'storage_damaged',
    'owner_moving',
  ],
});

export const traceNodeSchema = z
  .strictObject({
    /** `kind/id#ID`. */
    key: z.string(),
    entity: entitySchema,
    id: z.string(),
    type: z.string(),
    source: z.string(),
    time: z.string(),
    hlc: z.string(),
    partition: z.number().int(),
    offset: z.number().int(),
    correlationId: z.string().optional(),
    causationId: z.string().optional(),
    /** Negative: so many steps before the event asked for; positive: after it. */
    distance: z.number().int(),
  })
  .meta({ id: 'TraceNode' });

export const getTrace = operation({
  id: 'getTrace',
  method: 'get',
  path: '/v1/trace',
  role: 'reader',
  summary: 'The causes and the effects of an event, as a graph',
  tags: ['history'],
  query: eventQuerySchema,
  responses: {
    200: {
      description: 'The graph.',
      schema: z.strictObject({
        /** The key of the event asked for. */
        root: z.string(),
        nodes: z.array(traceNodeSchema),
        edges: z.array(z.strictObject({ cause: z.string(), effect: z.string() })),
        /** Causes that are named but not to be found, or not for sure. */
        unresolved: z.array(
          z.strictObject({
            effect: z.string(),
            causationId: z.string(),
            reason: z.enum(['not_found', 'ambiguous_id']),
          }),
        ),
        /** True when there is more than the plane tells at once. */
        truncated: z.boolean(),
      }),
    },
  },
  errors: [...getEvent.errors],
});

export const queryRequestSchema = z
  .strictObject({
    filter: z.record(z.string(), jsonSchema).default({}).meta({ id: 'AttributeFilter' }),
    entityPrefix: z
      .string()
      .max(LIMITS.entity_bytes_max)
      .regex(/^[A-Za-z0-9._~@/-]*$/)
      .optional(),
    limit: z.number().int().min(1).max(LIMITS.query_limit_max).default(100),
    cursor: z.string().min(1).max(16_384).optional(),
    after: afterSchema.optional(),
    asOf: asOfSchema.optional(),
    waitMs: z.number().int().min(0).max(LIMITS.wait_ms_max).optional(),
  })
  .meta({ id: 'QueryRequest' });

export const queryEntities = operation({
  id: 'queryEntities',
  method: 'post',
  path: '/v1/query',
  role: 'reader',
  summary: 'The entities whose attributes match a filter',
  tags: ['views'],
  body: queryRequestSchema,
  responses: {
    200: {
      description:
        'A page. It may hold fewer than `limit` even where there are more: see `cursor`.',
      schema: z.strictObject({
        entities: z.array(
          z.strictObject({
            entity: entitySchema,
            attributes: attributesSchema,
            sequence: z.number().int().min(0),
            asOf: asOfPositionSchema,
          }),
        ),
        /** For the next page, which is of the same cut; absent on the last one. */
        cursor: z.string().optional(),
        /** The cut of all pages. */
        token: tokenSchema,
        timeMs: z.number().int().min(0),
        /** How candidates were found. */
        plan: z.enum(['index', 'scan']),
        /** Entities that are left out since they were erased, of each partition 1,000 at most. */
        erased: z.number().int().min(1).optional(),
      }),
    },
  },
  errors: ['invalid_filter', 'invalid_cursor', ...readErrors],
});

export const getShards = operation({
  id: 'getShards',
  method: 'get',
  path: '/v1/shards',
  role: 'operator',
  summary: 'The shards: owner, applied offset, lag, size',
  tags: ['operations'],
  responses: {
    200: {
      description: 'All shards, of all instances.',
      schema: z.strictObject({
        logId: z.string(),
        epoch: z.number().int().min(0),
        shards: z.array(
          z.strictObject({
            partition: z.number().int().min(0),
            owner: z.string(),
            /** Higher than that of every earlier owner. */
            ownerEpoch: z.number().int().min(0),
            state: z.enum(['running', 'paused', 'damaged']),
            problem: z.string().optional(),
            appliedOffset: offsetSchema,
            /** The end of the log minus what is applied, in events. */
            lag: z.number().int().min(0),
            hlc: z.string(),
            eventsTotal: z.number().int().min(0),
            activeSessions: z.number().int().min(0),
            duplicates: z.number().int().min(0),
            rejected: z.number().int().min(0),
            historyStart: z.number().int().min(0),
            /** Estimated bytes in the store. */
            sizeBytes: z.number().int().min(0),
          }),
        ),
        /** Partitions that are changing their owner; absent: none. */
        moving: z.array(z.number().int().min(0)).optional(),
      }),
    },
  },
  errors: ['storage_unavailable'],
});

export const getDigest = operation({
  id: 'getDigest',
  method: 'get',
  path: '/v1/digest',
  role: 'operator',
  summary: 'A digest of all views, to compare two stores of one log',
  tags: ['operations'],
  query: z.strictObject({ partition: digits(0, 4095).optional() }),
  responses: {
    200: {
      description: 'Equal for equal views, whatever way they were built.',
      schema: z.strictObject({
        logId: z.string(),
        digest: z.string(),
        shards: z.array(
          z.strictObject({
            partition: z.number().int().min(0),
            appliedOffset: offsetSchema,
            entities: z.number().int().min(0),
            digest: z.string(),
          }),
        ),
      }),
    },
  },
  errors: ['not_found'],
});

export type EntityView = z.infer<typeof entityViewSchema>;
export type MemoryViewDocument = z.infer<typeof memoryViewSchema>;
export type StoredEvent = z.infer<typeof storedEventSchema>;
export type TraceNode = z.infer<typeof traceNodeSchema>;
export type QueryRequest = z.input<typeof queryRequestSchema>;
