import { z } from 'zod';
import { LIMITS } from '../limits.ts';
import { TOPICS } from '../names.ts';
import { operation } from '../operation.ts';
import { digits } from './materializer.ts';

/** Most records that one answer of a feed holds; a reader goes on from the next offset. */
export const FEED_RECORDS_MAX = 100_000;

/** What of a feed of events is wanted, where it is not all of them. */
export const FEED_SELECTIONS = ['recall'] as const;
export type FeedSelection = (typeof FEED_SELECTIONS)[number];

const waitMs = digits(0, LIMITS.wait_ms_max).meta({
  description:
    'How long the answer stays open at the end of the feed, counted from the last record, in ms. ' +
    'Default: 0 for NDJSON, 25,000 for server-sent events.',
});

/**
 * One line of `memory-views`: the view of an entity after its newest change. The feed is compacted:
 * an entity comes once, at the offset of that change, and again when it has changed again.
 */
export const viewFeedLineSchema = z
  .strictObject({
    partition: z.number().int().min(0),
    offset: z.number().int().min(0),
    epoch: z.number().int().min(0),
    logId: z.string(),
    /** Of the shard's owner; of two views of a key the higher (epoch, offset) counts. */
    ownerEpoch: z.number().int().min(0),
    /** The partition key: the entity, or `tenant:entity`. */
    key: z.string(),
    view: z.strictObject({
      entity: z.string(),
      tenant: z.string(),
      attributes: z.record(z.string(), z.unknown()),
      memories: z.array(z.unknown()),
      sequence: z.number().int().min(1),
      hlc: z.string(),
      tooLarge: z
        .literal(true)
        .optional()
        .meta({
          description:
            'Of messages alone: attributes and memories are left out, since none has room for them. ' +
            'Read the view from the materializer.',
        }),
      sealed: z
        .literal(true)
        .optional()
        .meta({
          description:
            'Of messages alone: its events are sealed, so attributes and memories are left out. Read ' +
            'the view from the materializer.',
        }),
    }),
  })
  .meta({ id: 'ViewFeedLine' });

export const getFeed = operation({
  id: 'getFeed',
  method: 'get',
  path: '/v1/feeds/{topic}',
  role: 'reader',
  summary: 'A resumable feed of one partition, as NDJSON or server-sent events',
  tags: ['feeds'],
  params: z.strictObject({ topic: z.enum([TOPICS.events, TOPICS.views]) }),
  query: z.strictObject({
    partition: digits(0, 4095).optional().meta({ description: 'Default 0.' }),
    from: digits(0, Number.MAX_SAFE_INTEGER)
      .optional()
      .meta({
        description:
          'The first offset; default: 0, of `agent-events` where the history begins. ' +
          '`Last-Event-ID` of server-sent events wins.',
      }),
    retained: z
      .enum(['true', 'false'])
      .optional()
      .meta({
        description:
          'Of `agent-events` from before the start of the history: begin with the events that ' +
          'brought memories which can still be shown, instead of 410.',
      }),
    select: z
      .enum(FEED_SELECTIONS)
      .optional()
      .meta({
        description:
          'Of `agent-events`: without events that mean nothing for recall, as those do that bring no ' +
          'memory, no turn of a dialogue and no erasure; some of them may come all the same. In ' +
          'place of those that are newest comes a line without `event`: nothing more is missing up ' +
          'to its offset.',
      }),
    limit: digits(1, FEED_RECORDS_MAX).optional().meta({ description: 'Records at most.' }),
    waitMs: waitMs.optional(),
  }),
  responses: {
    200: {
      description:
        'Records in order, one a line, up to what the view has applied. The server may end the ' +
        'answer at any record; go on from the next offset. A line of `agent-events` with ' +
        '`applied: false` is a second copy or reuses an id: the views left it out.',
      mediaTypes: ['application/x-ndjson', 'text/event-stream'],
    },
  },
  errors: ['not_found', 'history_expired', 'storage_damaged', 'owner_moving'],
});

export type ViewFeedLine = z.infer<typeof viewFeedLineSchema>;
