import type { Invoker } from '../invoker.ts';
import type { AuditSink } from './audit-trail.ts';

const TIMEOUT_MS = 10_000;

/** By event-ingest, the one writer of the log. */
export function auditThrough(invoker: Invoker): AuditSink {
  return async (records) => {
    const call = { body: { records }, timeoutMs: TIMEOUT_MS };
    await invoker.invoke('event-ingest', 'POST', '/v1/audit-records', call);
  };
}
