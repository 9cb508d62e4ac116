import { appendEvents } from '@memplane/contracts';
import { type Route, traceparentOf } from '@memplane/runtime';
import type { PreparedEvent } from '../domain/prepare.ts';
import { checkBody } from '../domain/read-body.ts';
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
    parseBody(body, { tenant, callerAppId, trace }) {
      const events = ingest.prepare(checkBody(body, { tenant, dimensions }), {
        tenant,
        defaultSource: isAppId(callerAppId) ? callerAppId : ANONYMOUS,
        now: new Date(now()).toISOString(),
        traceparent: traceparentOf(trace),
        newId,
      });
      return { events, isBatch: Array.isArray(body) };
    },
    async handle(request) {
      const { events, isBatch } = request.body as PreparedBody;
      return { status: 201, raw: await ingest.append(events, isBatch) };
    },
  };
}

/** Only a sidecar sets the header, but anyone who calls directly may. */
function isAppId(text: string | undefined): text is string {
  return text !== undefined && /^[A-Za-z0-9._-]{1,128}$/.test(text);
}

interface PreparedBody {
  readonly events: readonly PreparedEvent[];
  readonly isBatch: boolean;
}
