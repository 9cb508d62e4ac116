import { z } from 'zod';
import { operation } from '../operation.ts';

/** What a tenant may append in a second, by instance of event-ingest. */
export const RATE_LIMITS = ['events_per_second_max', 'bytes_per_second_max'] as const;
export type RateLimit = (typeof RATE_LIMITS)[number];

/** What a tenant may have stored, in the whole plane. */
export const STORED_LIMITS = ['events_total_max', 'memories_max', 'state_bytes_max'] as const;
export type StoredLimit = (typeof STORED_LIMITS)[number];

export const quotasSchema = z
  .strictObject({
    tenant: z.string(),
    quotas: z.array(
      z.strictObject({
        limit: z.enum([...RATE_LIMITS, ...STORED_LIMITS]),
        value: z.number().int().min(1).optional().meta({ description: 'Absent: no limit.' }),
        used: z.number().int().meta({
          description:
            'Of a rate: of a second, and not given back by time yet; more than `value` is debt. Of what is stored: as the views told last.',
        }),
      }),
    ),
  })
  .meta({ id: 'Quotas' });

export type Quotas = z.infer<typeof quotasSchema>;

export const getQuotas = operation({
  id: 'getQuotas',
  method: 'get',
  path: '/v1/quotas',
  role: 'reader',
  summary: "What the caller's tenant may append and store, and how much of it is used",
  tags: ['quotas'],
  responses: { 200: { description: 'As this instance counts it.', schema: quotasSchema } },
  errors: [],
});
