import { z } from 'zod';
import { entitySchema } from '../event.ts';
import { operation } from '../operation.ts';
import { clearedStoreSchema } from './clearings.ts';

const reasonSchema = z.string().min(1).max(1_024);

export const erasureSchema = z
  .strictObject({
    id: z.string(),
    entity: z.string(),
    reason: z.string().optional(),
    requestedAt: z.iso.datetime(),
    isDone: z.boolean().meta({
      description:
        'Nothing of it is left but what `stores` says of the log. Unreadable it is before.',
    }),
    doneAt: z.iso.datetime().optional(),
    keyId: z.string().optional().meta({
      description: 'Of the key that was removed; absent: nothing of it was sealed.',
    }),
    event: z
      .strictObject({
        id: z.string(),
        partition: z.number().int(),
        offset: z.number().int().min(0),
      })
      .optional()
      .meta({ description: 'The event that erases: all before it is gone.' }),
    stores: z.array(clearedStoreSchema),
  })
  .meta({ id: 'Erasure' });

export type Erasure = z.infer<typeof erasureSchema>;

const idParams = z.strictObject({ id: z.uuid() });
const STORE_ERRORS = ['no_quorum', 'storage_full', 'storage_unavailable'] as const;

export const startErasure = operation({
  id: 'startErasure',
  method: 'post',
  path: '/v1/erasures',
  summary: 'Erase an entity',
  role: 'operator',
  tags: ['erasure'],
  body: z
    .strictObject({ entity: entitySchema, reason: reasonSchema.optional() })
    .meta({ id: 'ErasureRequest' }),
  responses: {
    202: {
      description:
        'Its key is gone and its erasure is in the log; what was made of it is being cleared.',
      schema: erasureSchema,
    },
  },
  errors: [
    'legal_hold',
    'erasing',
    'not_implemented',
    'fencing_token_required',
    'dependency_unavailable',
    ...STORE_ERRORS,
  ],
});

export const getErasure = operation({
  id: 'getErasure',
  method: 'get',
  path: '/v1/erasures/{id}',
  summary: 'The receipt of an erasure',
  role: 'operator',
  tags: ['erasure'],
  params: idParams,
  responses: { 200: { description: 'The receipt.', schema: erasureSchema } },
  errors: ['not_found', ...STORE_ERRORS],
});

export const listErasures = operation({
  id: 'listErasures',
  method: 'get',
  path: '/v1/erasures',
  summary: 'The erasures of the tenant',
  role: 'operator',
  tags: ['erasure'],
  query: z.strictObject({
    after: z.uuid().optional(),
    limit: z.coerce.number().int().min(1).max(1_000).default(100),
  }),
  responses: {
    200: {
      description: 'Receipts, oldest first; `next` names the last of a page that may have another.',
      schema: z
        .strictObject({ erasures: z.array(erasureSchema), next: z.string().optional() })
        .meta({ id: 'Erasures' }),
    },
  },
  errors: [...STORE_ERRORS],
});

export const verifyErasure = operation({
  id: 'verifyErasure',
  method: 'post',
  path: '/v1/erasures/{id}/verifications',
  summary: 'Look in every store whether anything of an erased entity is there',
  role: 'operator',
  tags: ['erasure'],
  params: idParams,
  responses: {
    200: {
      description: 'What was found, as of now: the receipt itself is not believed.',
      schema: z
        .strictObject({
          id: z.string(),
          entity: z.string(),
          isClear: z.boolean(),
          stores: z.array(clearedStoreSchema),
        })
        .meta({ id: 'ErasureVerification' }),
    },
  },
  errors: ['not_found', 'dependency_unavailable', 'owner_moving', ...STORE_ERRORS],
});

const holdParams = z.strictObject({ kind: z.string().max(256), id: z.string().max(256) });

export const holdSchema = z
  .strictObject({ entity: z.string(), reason: z.string(), since: z.iso.datetime() })
  .meta({ id: 'LegalHold' });

export const putHold = operation({
  id: 'putHold',
  method: 'put',
  path: '/v1/holds/{kind}/{id}',
  summary: 'Put an entity on legal hold: it can not be erased',
  role: 'operator',
  tags: ['erasure'],
  params: holdParams,
  body: z.strictObject({ reason: reasonSchema }).meta({ id: 'LegalHoldRequest' }),
  responses: { 200: { description: 'It is on hold.', schema: holdSchema } },
  errors: ['erasing', ...STORE_ERRORS],
});

export const deleteHold = operation({
  id: 'deleteHold',
  method: 'delete',
  path: '/v1/holds/{kind}/{id}',
  summary: 'End a legal hold',
  role: 'operator',
  tags: ['erasure'],
  params: holdParams,
  responses: { 204: { description: 'It is on hold no more.' } },
  errors: ['not_found', ...STORE_ERRORS],
});
