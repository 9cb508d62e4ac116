import { type AuditPage, getAudit } from '@memplane/contracts';
import { type AuditLevel, ok, pause, type Route, route } from '@memplane/runtime';
import { cursorOf, DAY_MS, dayOf, placeOf } from '../domain/audit-days.ts';
import { readAudit } from '../reads/audit.ts';
import { waiting } from '../reads/cuts.ts';
import type { Plane } from '../reads/plane.ts';

const LIMIT_DEFAULT = 100;
/** How often an empty page looks again. */
const POLL_MS = 250;

/** `GET /v1/audit` @param recording what is recorded now */
export function getAuditRoute(plane: Plane, recording: AuditLevel): Route {
  return route(getAudit, async ({ query, tenant, signal, trace }) => {
    const { from, to, cursor, limit = LIMIT_DEFAULT, waitMs = 0 } = query;
    const fromMs = from === undefined ? plane.now() - DAY_MS : Date.parse(from);
    const request = {
      ...query,
      tenant,
      place: cursor === undefined ? { day: dayOf(fromMs), offset: 0 } : placeOf(cursor),
      // A cursor is past what is too old already.
      fromMs: from === undefined && cursor !== undefined ? 0 : fromMs,
      toMs: to === undefined ? Number.POSITIVE_INFINITY : Date.parse(to),
      subject: query.subject,
      operation: query.operation,
      outcome: query.outcome,
      limit,
    };
    const deadline = performance.now() + waitMs;
    for (;;) {
      const { records, next } = await readAudit(plane, request, waiting(undefined, signal, trace));
      if (records.length > 0 || next === undefined || performance.now() >= deadline) {
        const page: AuditPage = {
          records: [...records],
          recording,
          ...(next === undefined ? {} : { next: cursorOf(next) }),
        };
        return ok(page);
      }
      request.place = next;
      await pause(Math.min(POLL_MS, deadline - performance.now()), signal);
      signal.throwIfAborted();
    }
  });
}
