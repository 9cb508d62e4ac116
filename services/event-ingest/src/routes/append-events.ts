import { appendEvents } from '@memplane/contracts';
import { type Route, traceparentOf } from '@memplane/runtime';
import { type CheckedEvent, checkBody } from '../domain/read-body.ts';
import type { Ingest } from '../ingest.ts';

export interface AppendEventsContext {
  readonly ingest: Ingest;
  readonly dimensions: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly newId: () => string;
}

/** The source of events that name none, from a caller without an app id. */
export const ANONYMOUS = 'anonymous';

/** `POST /v1/events` */
export function appendEventsRoute(context: AppendEventsContext): Route {
  const { ingest, dimensions, now, newId } = context;
  return {
    operation: appendEvents,
    parseBody: (body, tenant) => checkBody(body, { tenant, dimensions }),
    async handle(request) {
      const answer = await ingest.append(request.body as readonly CheckedEvent[], {
        tenant: request.tenant,
        defaultSource: request.callerAppId ?? ANONYMOUS,
        now: new Date(now()).toISOString(),
        traceparent: traceparentOf(request.trace),
        newId,
      });
      return { status: 201, raw: answer };
    },
  };
}
