import { z } from 'zod';
import { TENANT_PATTERN, TOPICS } from '../names.ts';
import { operation } from '../operation.ts';
import { FEED_SELECTIONS } from './feeds.ts';

// What instances of the materializer ask of each other, on a port of their own: nobody else's business.

/** The longest that a peer may have a part wait: a replay waits for its partitions. */
const WAIT_MS_MAX = 10 * 60_000;

const partitionSchema = z.number().int().min(0);
const count = z
  .string()
  .regex(/^\d{1,16}$/)
  .transform(Number);

export const runPart = operation({
  id: 'runPart',
  method: 'post',
  path: '/v1/parts/{part}',
  summary: 'The part of a read that is about partitions of this instance',
  params: z.strictObject({ part: z.string().max(64) }),
  body: z.strictObject({
    partitions: z
      .array(
        z.strictObject({
          partition: partitionSchema,
          /** An owner of an earlier epoch than this must not answer. */
          epoch: z.number().int().min(0),
        }),
      )
      .max(4096),
    query: z.unknown(),
    waitMs: z.number().int().min(0).max(WAIT_MS_MAX),
  }),
  responses: { 200: { description: 'The answer of the part, and how far its shards are.' } },
  errors: ['owner_moving'],
});

export const getPartitionFeed = operation({
  id: 'getPartitionFeed',
  method: 'get',
  path: '/v1/partition-feed',
  summary: 'The feed of a partition of this instance, for another one to pass on',
  query: z.strictObject({
    topic: z.enum([TOPICS.events, TOPICS.views]),
    tenant: z.string().regex(TENANT_PATTERN).optional(),
    partition: count,
    epoch: count,
    from: count.optional(),
    retained: z.enum(['true', 'false']).transform((text) => text === 'true'),
    select: z.enum(FEED_SELECTIONS).optional(),
    limit: count,
    format: z.enum(['ndjson', 'sse']),
    waitMs: count,
  }),
  responses: { 200: { description: 'The feed, framed as asked for.' } },
  errors: ['owner_moving'],
});
