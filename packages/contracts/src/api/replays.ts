import { z } from 'zod';
import { entitySchema, jsonSchema } from '../event.ts';
import { LIMITS } from '../limits.ts';
import { operation } from '../operation.ts';
import { readErrors } from './materializer.ts';

export const REPLAY_PROJECTIONS = ['view', 'counts-by-type'] as const;
export type ReplayProjection = (typeof REPLAY_PROJECTIONS)[number];

const boundSchema = z.union([
  z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  z.string().min(1).max(8192),
]);

export const replayRequestSchema = z
  .strictObject({
    entities: z
      .array(entitySchema)
      .min(1)
      .max(1000)
      .optional()
      .meta({ description: 'Only these; default: all.' }),
    types: z
      .array(z.string().min(1).max(LIMITS.event_type_bytes_max))
      .min(1)
      .max(100)
      .optional()
      .meta({ description: 'Only events of these types; default: all.' }),
    from: boundSchema.optional().meta({
      description:
        'The first event: an offset of each partition, or as `asOf` (an event of the one entity, a ' +
        'time, or what follows a token). Default: the beginning.',
    }),
    to: boundSchema.optional().meta({
      description: 'The last event, inclusive, in the same forms. Default: all that is applied.',
    }),
    projection: z.enum(REPLAY_PROJECTIONS).default('view'),
  })
  .meta({ id: 'ReplayRequest' });

const entityResultSchema = z.strictObject({ entity: entitySchema, result: jsonSchema });

export const replaySchema = z
  .strictObject({
    id: z.string(),
    status: z.enum(['queued', 'running', 'done', 'failed']),
    projection: z.enum(REPLAY_PROJECTIONS),
    /** Events seen so far, and those of them that were folded. */
    events: z.strictObject({ read: z.number().int(), folded: z.number().int() }),
    /** The cut that the replay ends at; as `to` it repeats the replay exactly. */
    token: z.string().optional(),
    /** A function of the request and the cut: the same every time. */
    digest: z.string().optional(),
    result: z
      .strictObject({
        entitiesTotal: z.number().int(),
        /** Entities that are left out since they were erased; absent: none. */
        erased: z.number().int().min(1).optional(),
        /** The first of them, in a fixed order. */
        entities: z.array(entityResultSchema),
        truncated: z.boolean(),
        /** Over all entities; for projections that count. */
        totals: z.record(z.string(), z.number()).optional(),
      })
      .optional(),
    /** Against the live views of the same entities. */
    difference: z
      .strictObject({
        equal: z.number().int(),
        different: z.number().int(),
        /** The first that differ: what is there, what is live, and where they part. */
        entities: z.array(
          z.strictObject({
            entity: entitySchema,
            paths: z.array(z.string()),
            replayed: jsonSchema,
            live: jsonSchema,
          }),
        ),
        truncated: z.boolean(),
      })
      .optional(),
    problem: z.strictObject({ code: z.string(), detail: z.string() }).optional(),
  })
  .meta({ id: 'Replay' });

export const createReplay = operation({
  id: 'createReplay',
  urgency: 'bulk',
  method: 'post',
  path: '/v1/replays',
  role: 'reader',
  summary: 'Fold a part of the history anew, apart from anything live',
  tags: ['replays'],
  body: replayRequestSchema,
  responses: {
    202: { description: 'The replay; a short one may have ended already.', schema: replaySchema },
  },
  errors: [...readErrors],
});

export const getReplay = operation({
  id: 'getReplay',
  method: 'get',
  path: '/v1/replays/{id}',
  role: 'reader',
  summary: 'How a replay does, and what came out of it',
  tags: ['replays'],
  params: z.strictObject({ id: z.string().min(1).max(64) }),
  responses: { 200: { description: 'The replay.', schema: replaySchema } },
  errors: ['not_found'],
});

export type ReplayRequest = z.output<typeof replayRequestSchema>;
export type Replay = z.infer<typeof replaySchema>;
