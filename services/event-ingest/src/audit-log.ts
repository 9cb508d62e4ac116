import { AUDIT_TENANT, type AuditRecord } from '@memplane/contracts';
import { auditEvents } from './domain/audit-events.ts';
import { unpackBody } from './domain/packed-body.ts';
import { prepareBody } from './domain/prepare-body.ts';
import type { Ingest } from './ingest.ts';

/** Where the audit of all services goes into the log. */
export class AuditLog {
  readonly #ingest: Ingest;
  readonly #now: () => number;

  /** @param now milliseconds since 1970 */
  constructor(ingest: Ingest, now: () => number) {
    this.#ingest = ingest;
    this.#now = now;
  }

  /** Durable when it resolves; repeating it is harmless. @throws what `Ingest.append` throws */
  async append(records: readonly AuditRecord[]): Promise<void> {
    const now = new Date(this.#now()).toISOString();
    const order = {
      tenant: AUDIT_TENANT,
      dimensions: 1,
      defaultSource: 'event-ingest',
      now,
      traceparent: undefined,
    };
    const bytes = Buffer.from(JSON.stringify(auditEvents(records, now)));
    const packed = prepareBody(bytes, order, () => {
      throw new Error('a record of the audit has no id');
    });
    await this.#ingest.append(unpackBody(packed, AUDIT_TENANT), AUDIT_TENANT);
  }
}
