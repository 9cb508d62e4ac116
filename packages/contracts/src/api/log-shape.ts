import { z } from 'zod';
import { operation } from '../operation.ts';
import { PARTITIONS_MAX } from '../position.ts';

const partitionsSchema = z.number().int().min(1).max(PARTITIONS_MAX);

/** How the partitions of a log that grew came about. */
export const lineageSchema = z
  .strictObject({
    /** How many partitions the log began with. */
    partitionsInitial: partitionsSchema,
    /**
     * By partition: the first offset of its own. What is before came from the partition that it was
     * split from; 0 for those that the log began with.
     */
    bases: z.array(z.number().int().min(0)),
  })
  .meta({ id: 'LogLineage' });

export const logShapeSchema = z
  .strictObject({
    logId: z.string(),
    /** Raised by one with each doubling of the partitions. */
    epoch: z.number().int().min(0),
    partitions: partitionsSchema,
    /** Absent: the log never grew. */
    lineage: lineageSchema.optional(),
  })
  .meta({ id: 'LogShape' });

/** As it is answered; see `LogInfo` of the event log. */
export type LogShapeAnswer = z.infer<typeof logShapeSchema>;

export const getLog = operation({
  id: 'getLog',
  method: 'get',
  path: '/v1/log',
  role: 'reader',
  summary: 'Which log the views are of, and how many partitions it has',
  tags: ['views'],
  responses: { 200: { description: 'As of this moment: a log may grow.', schema: logShapeSchema } },
  errors: [],
});

export const growPartitions = operation({
  id: 'growPartitions',
  method: 'put',
  path: '/v1/partitions',
  role: 'operator',
  summary: 'Double the partitions of the log, while it is used',
  tags: ['operations'],
  body: z
    .strictObject({
      count: partitionsSchema.meta({
        description: 'What the log has, which changes nothing, or twice as many.',
      }),
    })
    .meta({ id: 'GrowPartitionsRequest', examples: [{ count: 24 }] }),
  responses: {
    200: {
      description:
        'The log has that many partitions, durably. Views and index follow one partition after the ' +
        'other, after a crash too: `GET /v1/shards` and `GET /v1/index` tell how far they are.',
      schema: logShapeSchema,
    },
  },
  errors: ['not_implemented', 'storage_full', 'storage_unavailable', 'shutting_down'],
});
