import { z } from 'zod';
import { entitySchema, eventIdSchema } from '../event.ts';
import { LIMITS } from '../limits.ts';
import { TENANT_PATTERN } from '../names.ts';
import { operation } from '../operation.ts';

/** Most candidates that one view check may carry; a search with more asks several times. */
export const LIVENESS_ITEMS_MAX = 4096;

const tenantSchema = z
  .string()
  .regex(TENANT_PATTERN)
  .optional()
  .meta({ description: "Only services of the plane name another one than the caller's." });
const tokenSchema = z.string().startsWith('mpt_').max(8192);
const waitMsSchema = z.number().int().min(0).max(LIMITS.wait_ms_max).optional();
const timeMsSchema = z.number().int().min(0).max(8.64e15);

export const livenessItemSchema = z.strictObject({
  entity: entitySchema,
  memoryId: z.string().min(1).max(LIMITS.memory_id_bytes_max),
  /** The event that brought this version of the memory. */
  eventId: eventIdSchema,
  /** Where that event is, in the partition of its entity. */
  offset: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  /** A turn of a dialogue (see `turnText`): live from its event on, for as long as history is. */
  turn: z.boolean(),
});

export const livenessRequestSchema = z
  .strictObject({
    tenant: tenantSchema,
    /** A complete cut: a partition that it does not name is empty in it. */
    cut: tokenSchema,
    /** When `ttl` is judged, ms since 1970; absent: the cut's time, else its newest stamp. */
    atMs: timeMsSchema.optional(),
    /** A filter over the entity's attributes at the cut (without the prefix `entity.`). */
    entityFilter: z.record(z.string(), z.json()).optional(),
    items: z.array(livenessItemSchema).max(LIVENESS_ITEMS_MAX),
    /** How long to wait until the views have applied the cut; default `wait_ms_default`. */
    waitMs: waitMsSchema,
  })
  .meta({ id: 'LivenessRequest' });

export const livenessResponseSchema = z
  .strictObject({
    /** The cut that was judged, with its time. */
    token: tokenSchema,
    timeMs: timeMsSchema,
    /** In the order of the request. */
    items: z.array(
      z.strictObject({
        /**
         * Whether, at the cut, this event was applied (not refused as `id_reused`, and the first of
         * its id: at this very offset), is the version of its memory that the view shows (neither
         * replaced, forgotten nor expired), and its entity matches `entityFilter`.
         */
        live: z.boolean(),
      }),
    ),
  })
  .meta({ id: 'LivenessResponse' });

/**
 * The view check of a search: which of these memory versions does the view show at one cut?
 * All items are judged at the same cut, in one snapshot.
 */
export const checkLiveness = operation({
  id: 'checkLiveness',
  method: 'post',
  path: '/v1/liveness',
  role: 'reader',
  summary: 'Which memory versions are live at a cut',
  tags: ['views'],
  body: livenessRequestSchema,
  responses: { 200: { description: 'One answer per item.', schema: livenessResponseSchema } },
  errors: [
    'invalid_token',
    'invalid_filter',
    'token_of_another_log',
    'history_expired',
    'not_yet_visible',
    'owner_moving',
  ],
});

export const cutRequestSchema = z
  .strictObject({
    tenant: tenantSchema,
    /**
     * `offset:N`, `offset:E.N` or `event:ID` (these need `entity`), `time:T`, `token:T` or a bare
     * form of them. Absent: everything that is applied now.
     */
    asOf: z.string().min(1).max(8192).optional(),
    entity: entitySchema.optional(),
    waitMs: waitMsSchema,
  })
  .meta({ id: 'CutRequest' });

export const cutResponseSchema = z
  .strictObject({
    /**
     * The cut with its time. Of an offset or an event only the entity's partition is named; else
     * every partition is.
     */
    token: tokenSchema,
    /**
     * When `ttl` is judged: the time asked for; for an offset, an event or a token without a time
     * the newest stamp within the cut; without `asOf` now.
     */
    timeMs: timeMsSchema,
    /** By partition: the first offset whose history can be read. */
    historyStarts: z.record(z.string().regex(/^\d{1,4}$/), z.number().int().min(0)),
  })
  .meta({ id: 'CutResponse' });

/**
 * Resolves a point in time to a cut. A time is answered once it is settled in every partition
 * (at most `waitMs` later), at the longest prefix of each whose stamps are at or before it.
 */
export const resolveCut = operation({
  id: 'resolveCut',
  method: 'post',
  path: '/v1/cuts',
  role: 'reader',
  summary: 'The cut that a point in time means',
  tags: ['views'],
  body: cutRequestSchema,
  responses: { 200: { description: 'The cut.', schema: cutResponseSchema } },
  errors: [
    'invalid_as_of',
    'invalid_token',
    'token_of_another_log',
    'not_found',
    'ambiguous_id',
    'history_expired',
    'not_yet_visible',
    'owner_moving',
  ],
});

/**
 * One line of `GET /v1/feeds/agent-events?partition=P&from=N` as NDJSON: a record of the log, also
 * when it is a duplicate or was refused. `event` is a `CloudEvent`. The feed ends whenever the
 * server likes; the reader goes on from the next offset. It never shows what the view has not applied.
 */
export const feedLineSchema = z
  .looseObject({
    partition: z.number().int().min(0),
    offset: z.number().int().min(0),
    epoch: z.number().int().min(0),
    event: z.looseObject({ id: z.string(), subject: z.string() }),
  })
  .meta({ id: 'FeedLine' });

export type LivenessItem = z.infer<typeof livenessItemSchema>;
export type LivenessRequest = z.input<typeof livenessRequestSchema>;
export type LivenessResponse = z.infer<typeof livenessResponseSchema>;
export type CutRequest = z.input<typeof cutRequestSchema>;
export type CutResponse = z.infer<typeof cutResponseSchema>;
