import { type Json, LIMITS } from '@memplane/contracts';
import { z } from 'zod';
import { FILTER_LIMITS } from './ast.ts';

const many = {
  type: 'array',
  minItems: 1,
  maxItems: LIMITS.filter_nodes_max - 1,
  items: { $ref: '#/components/schemas/Filter' },
} as const;

/**
 * A filter in a body. The schema checks only that it is an object; `parseFilter` checks the rest
 * and names the exact place of a fault. What it accepts is described here for OpenAPI.
 */
export const filterSchema = z.record(z.string(), z.unknown() as z.ZodType<Json>).meta({
  id: 'Filter',
  description:
    'Conditions by path, e.g. {"channel": "email", "priority": {"$gte": 3}}, with $eq $ne $gt ' +
    '$gte $lt $lte $in $exists $not, and $and $or $not over whole filters. A missing field equals ' +
    'null; an array matches by any of its elements or as a whole; ranges compare only values of ' +
    `one type. At most ${LIMITS.filter_nodes_max} conditions, ` +
    `${FILTER_LIMITS.filter_depth_max} levels deep.`,
  examples: [{ channel: 'email', priority: { $gte: 3 } }],
  propertyNames: { type: 'string', pattern: '^(\\$and|\\$or|\\$not|[^$\\u0000][^\\u0000]*)$' },
  properties: { $and: many, $or: many, $not: { $ref: '#/components/schemas/Filter' } },
});
