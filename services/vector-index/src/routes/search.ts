import { search as searchOperation } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import { type SearchParts, search } from '../search.ts';

/** `POST /v1/search` */
export function searchRoute(parts: SearchParts): Route {
  return route(searchOperation, async ({ body, tenant, signal }) =>
    ok(await search(parts, tenant, body, signal)),
  );
}
