import { type Config, integer, oneOf, text } from '../config.ts';

/** What is recorded: nothing; what was refused and what operators did; every call. */
export const AUDIT_LEVELS = ['off', 'refusals', 'all'] as const;
export type AuditLevel = (typeof AUDIT_LEVELS)[number];

/** Of every service; without tenants nothing is recorded. */
export const AUDIT_SETTINGS = {
  audit: oneOf(
    'MEMPLANE_AUDIT',
    AUDIT_LEVELS,
    'refusals',
    'What is recorded where there are tenants: off, refusals (and what operators did), or all.',
  ),
  auditDir: text(
    'MEMPLANE_AUDIT_DIR',
    undefined,
    'Folder in which records wait for the log; default: one of the system for temporary files.',
  ),
  audit_reads_every: integer(
    'MEMPLANE_AUDIT_READS_EVERY',
    1,
    'With MEMPLANE_AUDIT=all, of so many reads that went well one is recorded; refusals always are.',
    { min: 1, max: 1_000_000 },
  ),
  audit_spool_bytes_max: integer(
    'MEMPLANE_AUDIT_SPOOL_BYTES_MAX',
    64 * 1024 * 1024,
    'Bytes of records that may wait for the log; what comes then is counted, and the count recorded.',
    { min: 1024 * 1024, unit: 'bytes' },
  ),
} as const;

export type AuditSettings = Config<typeof AUDIT_SETTINGS>;
