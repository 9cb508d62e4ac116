import { z } from 'zod';
import { timeSchema } from '../event.ts';
import { LIMITS } from '../limits.ts';
import { TENANT_PATTERN } from '../names.ts';
import { operation } from '../operation.ts';
import { digits } from './materializer.ts';

/** Records of one request of a service: so many fit into a strong batch too. */
export const AUDIT_BATCH_RECORDS_MAX = 100;

/**
 * The entity of `AUDIT_TENANT` that holds what was recorded of a tenant.
 * @param day in UTC, as `2026-01-31`
 */
export function auditEntity(tenant: string, day: string): string {
  return `audit/${tenant}.${day}`;
}

const MAX = Number.MAX_SAFE_INTEGER;
const shortText = (max: number) => z.string().min(1).max(max);

/**
 * What one caller asked for, and what came of it. No body, no value, no token: only names. Calls that
 * differ in nothing but their time, within the same second or so, are one record with a count.
 */
export const auditRecordSchema = z
  .strictObject({
    id: shortText(LIMITS.event_id_bytes_max),
    time: timeSchema.meta({ description: 'Of the first of them.' }),
    tenant: z.string().regex(TENANT_PATTERN).meta({
      description: "The caller's; `default` where nobody knows who called.",
    }),
    subject: shortText(1300).meta({
      description:
        '`token:<name>`, `app:<app id>`, `<issuer>#<sub>`, `unknown`, …; never a secret.',
    }),
    service: shortText(64),
    operation: shortText(128).meta({
      description: "The operation's id, or the RESP command; `unknown` for a path that is none.",
    }),
    role: shortText(16).optional().meta({ description: 'What the operation needs.' }),
    target: shortText(LIMITS.entity_bytes_max).optional().meta({
      description: 'The entity, or the name, that was asked for.',
    }),
    outcome: shortText(64).meta({ description: '`ok`, or the code of the problem.' }),
    address: shortText(64).optional().meta({ description: 'Of a caller that nobody knows.' }),
    traceId: z
      .string()
      .regex(/^[0-9a-f]{32}$/)
      .optional(),
    count: z.number().int().min(1).max(MAX),
  })
  .meta({ id: 'AuditRecord' });

export type AuditRecord = z.infer<typeof auditRecordSchema>;

export const appendAudit = operation({
  id: 'appendAudit',
  method: 'post',
  path: '/v1/audit-records',
  summary: 'Append what a service has recorded for the audit; repeating it is harmless',
  tags: ['audit'],
  body: z.strictObject({
    records: z.array(auditRecordSchema).min(1).max(AUDIT_BATCH_RECORDS_MAX),
  }),
  responses: { 204: { description: 'They are durable.' } },
  errors: [
    'archive_behind',
    'id_reused',
    'storage_full',
    'storage_unavailable',
    'dependency_unavailable',
  ],
});

export const auditPageSchema = z
  .strictObject({
    records: z.array(auditRecordSchema).meta({ description: 'In the order they were appended.' }),
    next: z.string().optional().meta({
      description: 'The cursor of what follows; absent where `to` is reached.',
    }),
    recording: z
      .enum(['off', 'refusals', 'all'])
      .meta({ description: 'What the plane records now; `off` where it has no tenants.' }),
  })
  .meta({ id: 'AuditPage' });

export type AuditPage = z.infer<typeof auditPageSchema>;

export const getAudit = operation({
  id: 'getAudit',
  method: 'get',
  path: '/v1/audit',
  role: 'auditor',
  summary: "Who asked for what, and was refused what: of the auditor's own tenant",
  tags: ['audit'],
  query: z.strictObject({
    from: timeSchema.optional().meta({ description: 'Default: 24 hours ago.' }),
    to: timeSchema.optional().meta({ description: 'Exclusive. Absent: on and on.' }),
    subject: shortText(1300).optional(),
    operation: shortText(128).optional(),
    outcome: shortText(64).optional(),
    cursor: z.string().max(64).optional().meta({ description: '`next` of the page before.' }),
    limit: digits(1, LIMITS.history_limit_max).optional().meta({ description: 'Default 100.' }),
    waitMs: digits(0, LIMITS.wait_ms_max)
      .optional()
      .meta({ description: 'How long an empty page waits for a record, in ms. Default 0.' }),
  }),
  responses: { 200: { description: 'A page; go on from `next`.', schema: auditPageSchema } },
  errors: ['invalid_cursor', 'history_expired', 'owner_moving', 'not_yet_visible'],
});
