import { type AuditRecord, auditEntity } from '@memplane/contracts';

/**
 * The events of records, in the short form. An entity holds a tenant's records of the day on which
 * they are appended, whenever they were made: a day that is over gets no more.
 * @param now RFC 3339, in UTC
 */
export function auditEvents(records: readonly AuditRecord[], now: string): object[] {
  return records.map((record) => ({
    id: record.id,
    type: record.outcome === 'ok' ? 'CallAnswered' : 'CallRefused',
    entity: auditEntity(record.tenant, now.slice(0, 10)),
    source: record.service,
    time: record.time,
    data: record,
  }));
}
