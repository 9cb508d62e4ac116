import { z } from 'zod';
import { TENANT_PATTERN } from '../names.ts';
import { operation } from '../operation.ts';

export const tenantUsageSchema = z
  .strictObject({
    eventsTotal: z.number().int().min(0).meta({
      description: 'Events that were ever applied, those too that are removed or erased since.',
    }),
    memories: z.number().int().min(0).meta({
      description: 'Not replaced, forgotten or erased; those too whose `ttl` has ended.',
    }),
    stateBytes: z.number().int().min(0).meta({
      description: 'Of the attributes and these memories of all entities, as JSON in UTF-8.',
    }),
  })
  .meta({ id: 'TenantUsage' });

export const usageSchema = z
  .strictObject({
    tenants: z.record(z.string().regex(TENANT_PATTERN), tenantUsageSchema),
  })
  .meta({ id: 'Usage' });

export type TenantUsage = z.infer<typeof tenantUsageSchema>;
export type Usage = z.infer<typeof usageSchema>;

/** Of the materializer, by which event-ingest holds tenants to what they may store. */
export const getUsage = operation({
  id: 'getUsage',
  method: 'get',
  path: '/v1/usage',
  role: 'plane',
  summary: 'What each tenant has stored, over all partitions',
  tags: ['quotas'],
  responses: { 200: { description: 'As far as the views have applied.', schema: usageSchema } },
  errors: ['owner_moving'],
});
