import { z } from 'zod';
import { entitySchema } from '../event.ts';
import { TENANT_PATTERN } from '../names.ts';
import { operation } from '../operation.ts';

/** What has copies of payloads, or of what was made of them. */
export const ERASED_STORES = [
  'keys',
  'heads',
  'strong',
  'views',
  'snapshots',
  'archive',
  'topic',
  'index',
  'vectors',
  'log',
] as const;

export const clearedStoreSchema = z
  .strictObject({
    store: z.enum(ERASED_STORES),
    isClear: z.boolean(),
    left: z.number().int().min(0).optional().meta({
      description: 'What of the entity was found there; absent: it was not looked for one by one.',
    }),
    at: z.iso.datetime().optional().meta({ description: 'Since when it is known to be clear.' }),
    until: z.iso.datetime().optional().meta({
      description:
        'Plain events stay in the log: this is when its retention ends for the last one.',
    }),
    note: z.string().optional(),
  })
  .meta({ id: 'ClearedStore' });

export type ErasedStore = (typeof ERASED_STORES)[number];
export type ClearedStore = z.infer<typeof clearedStoreSchema>;

export const clearingRequestSchema = z
  .strictObject({
    tenant: z.string().regex(TENANT_PATTERN),
    entity: entitySchema,
    /** Of the event that erases. */
    partition: z.number().int().min(0),
    offset: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
    /** Whether to look for what is left one by one. */
    isThorough: z.boolean(),
  })
  .meta({ id: 'ClearingRequest' });

export type ClearingRequest = z.infer<typeof clearingRequestSchema>;
export type ClearingAnswer = { readonly stores: readonly ClearedStore[] };

/** Of the materializer and of vector-index: how far they are with an erasure. */
export const checkClearing = operation({
  id: 'checkClearing',
  method: 'post',
  path: '/v1/clearings',
  summary: 'Whether the stores of a service have anything of an erased entity',
  role: 'plane',
  tags: ['erasure'],
  body: clearingRequestSchema,
  responses: {
    200: {
      description: 'Each store that the service keeps.',
      schema: z.strictObject({ stores: z.array(clearedStoreSchema) }).meta({ id: 'Clearing' }),
    },
  },
  errors: ['owner_moving', 'storage_damaged', 'storage_unavailable'],
});
