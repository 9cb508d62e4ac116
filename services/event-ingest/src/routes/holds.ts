import { deleteHold, isEntity, MemplaneError, putHold } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { ErasureStore } from '../erasures/erasure-store.ts';
import { cannotErase } from './erasures.ts';

export interface HoldRoutesContext {
  readonly store: ErasureStore;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** `/v1/holds`. @param context a text: why this plane can not erase, so that nothing need be held */
export function holdRoutes(context: HoldRoutesContext | string): Route[] {
  const parts = () => (typeof context === 'string' ? cannotErase(context) : context);
  return [
    route(putHold, async ({ params, body: { reason }, tenant }) => {
      const { store, now } = parts();
      const entity = entityOf(params);
      const hold = { entity, reason, since: new Date(now()).toISOString() };
      await store.hold(tenant, hold);
      return ok(hold);
    }),
    route(deleteHold, async ({ params, tenant }) => {
      const entity = entityOf(params);
      if (await parts().store.release(tenant, entity)) return { status: 204 };
      throw new MemplaneError('not_found', `${entity} is not on hold.`, { field: 'path.id' });
    }),
  ];
}

/** @throws MemplaneError `invalid_request` */
function entityOf({ kind, id }: { readonly kind: string; readonly id: string }): string {
  const entity = `${kind}/${id}`;
  if (isEntity(entity)) return entity;
  throw new MemplaneError('invalid_request', `${entity} is no entity.`, { field: 'path.id' });
}
