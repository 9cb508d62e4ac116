import { z } from 'zod';
import { entitySchema } from '../event.ts';
import { TENANT_PATTERN } from '../names.ts';
import { operation } from '../operation.ts';

/** Most keys that one request may ask for. */
export const UNWRAP_KEYS_MAX = 1_000;

export const unwrapRequestSchema = z
  .strictObject({
    keys: z
      .array(
        z.strictObject({
          tenant: z.string().regex(TENANT_PATTERN),
          entity: entitySchema,
          keyId: z.string().regex(/^[A-Za-z0-9_-]{16}$/),
        }),
      )
      .min(1)
      .max(UNWRAP_KEYS_MAX),
  })
  .meta({ id: 'UnwrapRequest' });

export const unwrapAnswerSchema = z
  .strictObject({
    secrets: z.array(z.base64().nullable()).meta({
      description: 'In the order of the request; null: the key is gone, for good.',
    }),
  })
  .meta({ id: 'UnwrapAnswer' });

export type UnwrapRequest = z.infer<typeof unwrapRequestSchema>;
export type UnwrapAnswer = z.infer<typeof unwrapAnswerSchema>;

/** For services of the plane alone, which may keep an answer for 5 s at most. */
export const unwrapKeys = operation({
  id: 'unwrapKeys',
  method: 'post',
  path: '/v1/keys/unwrap',
  summary: 'The secrets of keys of entities',
  role: 'plane',
  tags: ['sealing'],
  body: unwrapRequestSchema,
  responses: { 200: { description: 'The secrets.', schema: unwrapAnswerSchema } },
  errors: ['no_quorum', 'storage_damaged', 'storage_unavailable'],
});
