import { z } from 'zod';
import { operation } from '../operation.ts';

const natural = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const digestSchema = z.string().meta({ description: '32 hex digits.' });
const valueShape = {
  tenant: z.string(),
  type: z.enum(['counter', 'set', 'register', 'flag', 'map']),
  name: z.string(),
};

const comparedSchema = z
  .strictObject({
    replica: z.string(),
    differences: z.array(
      z.strictObject({
        ...valueShape,
        /** The digest of the value here; absent where there is none. */
        here: digestSchema.optional(),
        there: digestSchema.optional(),
        /** RFC 3339: when a reconciliation of this process first saw the value differ. */
        since: z.string(),
        why: z.enum([
          'damaged here',
          'damaged there',
          'not yet received',
          'unknown: changed by hand or lost with a tail',
        ]),
      }),
    ),
    /** Differences beyond those listed. */
    more: natural,
    /** What still differed after both have taken over from each other. */
    left: natural.optional(),
    /** Why it was not compared, or not all was taken over: a code and words. */
    failure: z.string().optional(),
  })
  .meta({ id: 'ComparedReplica' });

export const reconciliationSchema = z
  .strictObject({
    dryRun: z.boolean(),
    /** Replicas whose values were looked at, this one among them. */
    replicas: natural,
    values: z.strictObject({
      counter: natural,
      set: natural,
      register: natural,
      flag: natural,
      map: natural,
    }),
    /** Of the values here: the same for the same values, in whatever order and way they came about. */
    digest: z.string(),
    /** Values here that were found damaged: they do not have the digest that was stored with them. */
    differences: z.array(
      z.strictObject({ ...valueShape, stored: digestSchema, computed: digestSchema }),
    ),
    /** Differences beyond those listed. */
    more: natural,
    /** Of those, the ones that others had, and that were taken from them. */
    repaired: z.array(z.strictObject({ ...valueShape, from: z.array(z.string()) })),
    /** Each other replica that lives. */
    compared: z.array(comparedSchema),
    tookMs: z.number(),
  })
  .meta({ id: 'Reconciliation' });

export const reconcile = operation({
  id: 'reconcile',
  method: 'post',
  path: '/v1/reconciliations',
  role: 'operator',
  summary:
    'Check all values here by their digests, compare them with each other replica, and bring what differs to both',
  tags: ['operations'],
  body: z
    .strictObject({
      /**
       * Only report. By default true where this replica is alone, since there is nobody to take a
       * value from, and false among others: joining what differs loses nothing.
       */
      dryRun: z.boolean().optional(),
    })
    .meta({ id: 'ReconciliationRequest' }),
  responses: {
    200: {
      description: 'What was compared, what differed, and what was done about it.',
      schema: reconciliationSchema,
    },
  },
  errors: ['overloaded', 'storage_full', 'storage_unavailable', 'storage_damaged'],
});
