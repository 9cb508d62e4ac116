import { z } from 'zod';
import { entitySchema } from '../event.ts';
import { LIMITS } from '../limits.ts';
import { NAME_PATTERN } from '../names.ts';
import { operation } from '../operation.ts';

const leaseParams = z.strictObject({
  name: z
    .string()
    .regex(NAME_PATTERN)
    .meta({ description: 'The lease.', examples: ['leader'] }),
});

const holderSchema = z
  .string()
  .regex(NAME_PATTERN)
  .meta({
    description:
      'Who holds it: unlike any other, one for each process. The same holder renews, and keeps its token.',
    examples: ['agent-7.4711'],
  });

const tokenSchema = z.number().int().min(1).max(Number.MAX_SAFE_INTEGER);

export const leaseRequestSchema = z
  .strictObject({
    holder: holderSchema,
    ttlMs: z.number().int().min(LIMITS.lease_ttl_ms_min).max(LIMITS.lease_ttl_ms_max).meta({
      description: 'How long it lasts without a renewal, in ms from the sending of this request.',
    }),
    entities: z.array(entitySchema).max(LIMITS.lease_entities_max).optional().meta({
      description: 'Strong entities that take no append without its token, until it is released.',
    }),
    fencingToken: tokenSchema.optional().meta({
      description: 'Only renew: refused when the lease has another token by now.',
    }),
    waitMs: z.number().int().min(0).max(LIMITS.wait_ms_max).optional().meta({
      description: 'How long to wait for a lease that is held, in the order of asking; default 0.',
    }),
  })
  .meta({ id: 'LeaseRequest' });

export const leaseAnswerSchema = z
  .strictObject({
    name: z.string(),
    holder: z.string(),
    fencingToken: tokenSchema.meta({ description: 'Higher than that of every earlier holder.' }),
    ttlMs: z.number().int(),
    expiresAt: z.iso.datetime().meta({
      description: 'A hint, by the clock of the plane. What counts is `ttlMs` from the sending.',
    }),
  })
  .meta({ id: 'Lease' });

export type LeaseRequestBody = z.infer<typeof leaseRequestSchema>;
export type LeaseAnswer = z.infer<typeof leaseAnswerSchema>;

const STRONG_ERRORS = ['no_quorum', 'storage_full', 'storage_unavailable'] as const;

export const putLease = operation({
  id: 'putLease',
  urgency: 'first',
  waits: true,
  method: 'put',
  path: '/v1/leases/{name}',
  summary: 'Take a lease, or renew it',
  role: 'writer',
  tags: ['leases'],
  params: leaseParams,
  body: leaseRequestSchema,
  responses: {
    200: {
      description: 'It is held; from now on its entities take no lower token.',
      schema: leaseAnswerSchema,
    },
  },
  errors: [
    'lease_held',
    'stale_fencing_token',
    'zone_not_strong',
    'zone_changing',
    'not_yet_visible',
    'dependency_unavailable',
    ...STRONG_ERRORS,
  ],
});

export const deleteLease = operation({
  id: 'deleteLease',
  urgency: 'first',
  method: 'delete',
  path: '/v1/leases/{name}',
  summary: 'Release a lease; the guard of its entities ends',
  role: 'writer',
  tags: ['leases'],
  params: leaseParams,
  query: z
    .strictObject({
      holder: holderSchema.optional(),
      fencingToken: z
        .string()
        .regex(/^[1-9]\d{0,15}$/)
        .transform(Number)
        .optional()
        .meta({ description: 'The token that was given out with it.' }),
    })
    .refine((query) => query.holder !== undefined || query.fencingToken !== undefined, {
      error: 'fencingToken or holder is required',
    }),
  responses: { 204: { description: 'It is free. A repetition changes nothing.' } },
  errors: ['not_found', 'lease_held', 'stale_fencing_token', ...STRONG_ERRORS],
});

export const zoneAnswerSchema = z
  .strictObject({
    entity: z.string(),
    zone: z.enum(['strong', 'eventual']).meta({ description: 'As it is in force.' }),
    rule: z.string().optional().meta({ description: 'The first rule that matches it.' }),
    version: z.number().int().min(0).meta({ description: 'Of the table in force; 0: none.' }),
    changesTo: z.enum(['strong', 'eventual']).optional().meta({
      description: 'A change is under way; appends to the entity are answered `zone_changing`.',
    }),
    waitsFor: z.array(z.string()).optional().meta({
      description: 'Instances that have not confirmed the change yet.',
    }),
    file: z
      .strictObject({ path: z.string(), problem: z.string().optional() })
      .optional()
      .meta({ description: 'The file that proposes the table, and what is wrong with it.' }),
  })
  .meta({ id: 'ZoneOfEntity' });

export type ZoneAnswer = z.infer<typeof zoneAnswerSchema>;

export const getZone = operation({
  id: 'getZone',
  method: 'get',
  path: '/v1/zones',
  summary: 'The consistency zone of an entity, and why',
  role: 'operator',
  tags: ['zones'],
  query: z.strictObject({ entity: entitySchema }),
  responses: { 200: { description: 'The zone.', schema: zoneAnswerSchema } },
  errors: [],
});

export const headAnswerSchema = z
  .strictObject({
    entity: z.string(),
    sequence: z.number().int().min(0).optional().meta({
      description: 'What was appended to it; absent where nothing was, since it is strong.',
    }),
    token: z.string().meta({ description: 'All that its partition holds.' }),
  })
  .meta({ id: 'Head' });

export type HeadAnswer = z.infer<typeof headAnswerSchema>;

/** For the materializer: what a linearizable read has to see. */
export const finishHead = operation({
  id: 'finishHead',
  method: 'post',
  path: '/v1/heads/{kind}/{id}',
  summary: 'Finish what a strong entity has under way, and tell how far it is',
  tags: ['heads'],
  params: z.strictObject({ kind: z.string().max(256), id: z.string().max(256) }),
  responses: { 200: { description: 'Its events are in the log.', schema: headAnswerSchema } },
  errors: [
    'zone_not_strong',
    'zone_changing',
    'erasing',
    'dependency_unavailable',
    ...STRONG_ERRORS,
  ],
});
