import { appendEvents } from '@memplane/contracts';
import { type Route, traceparentOf } from '@memplane/runtime';
import { unpackBody } from '../domain/packed-body.ts';
import { type BodyOrder, type PreparedBody, prepareBody } from '../domain/prepare-body.ts';
import type { Ingest } from '../ingest.ts';
import type { PrepareThread } from '../prepare-thread/prepare-thread.ts';

export interface AppendEventsContext {
  readonly ingest: Ingest;
  readonly dimensions: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly newId: () => string;
  /** For large bodies; undefined: all are prepared where they arrive. */
  readonly thread: PrepareThread | undefined;
  readonly thread_bytes_min: number;
}

/** The source of events that name none, from a caller without an app id. */
export const ANONYMOUS = 'anonymous';

/** `POST /v1/events` */
export function appendEventsRoute(context: AppendEventsContext): Route {
  const { ingest, dimensions, now, newId, thread, thread_bytes_min } = context;
  return {
    operation: appendEvents,
    parseBody(bytes, { tenant, callerAppId, trace }) {
      const order: BodyOrder = {
        tenant,
        dimensions,
        defaultSource: isAppId(callerAppId) ? callerAppId : ANONYMOUS,
        now: new Date(now()).toISOString(),
        traceparent: traceparentOf(trace),
      };
      if (thread && bytes.length >= thread_bytes_min) return thread.prepare(bytes, order);
      return unpackBody(prepareBody(bytes, order, newId), tenant);
    },
    targetOf: (body) => (body as PreparedBody | undefined)?.events[0]?.entity,
    async handle(request) {
      const { body, tenant } = request;
      return { status: 201, raw: await ingest.append(body as PreparedBody, tenant) };
    },
  };
}

/** Only a sidecar sets the header, but anyone who calls directly may. */
function isAppId(text: string | undefined): text is string {
  return text !== undefined && /^[A-Za-z0-9._-]{1,128}$/.test(text);
}
