import { appendAudit } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import type { AuditLog } from '../audit-log.ts';

/** `POST /v1/audit-records` */
export function appendAuditRoute(audit: AuditLog): Route {
  return route(appendAudit, async ({ body }) => {
    await audit.append(body.records);
    return { status: 204 };
  });
}
