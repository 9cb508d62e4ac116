import type { ServiceName } from '@memplane/contracts';
import type { Check, Finding } from '../check.ts';

/** A call of each service that needs the token and changes nothing. */
const CALLS: readonly (readonly [ServiceName, string, 'GET' | 'POST'])[] = [
  ['event-ingest', '/v1/events', 'POST'],
  ['materializer', '/v1/shards', 'GET'],
  ['crdt-sync', '/v1/alerts', 'GET'],
  ['vector-index', '/v1/index', 'GET'],
];

/** The token that this command has is let in everywhere. */
export const permissionCheck: Check = {
  name: 'permission',
  async run(plane) {
    const found: Finding[] = [];
    for (const [service, path, method] of CALLS) {
      // Nobody can append no event: what lets this in answers 201 or 400.
      const call = method === 'POST' ? { method, body: [] } : { method };
      const { status, body } = await plane.http.call(service, path, call);
      body.resume();
      if (status !== 401 && status !== 403) continue;
      found.push({
        code: status === 401 ? 'token_refused' : 'token_forbidden',
        severity: 'error',
        about: service,
        detail: `${method} ${path} answers ${status}`,
        advice:
          status === 401
            ? 'Set MEMPLANE_TOKEN to the token that the plane was started with.'
            : 'This token may not do that: use one that may.',
      });
    }
    return found;
  },
};
