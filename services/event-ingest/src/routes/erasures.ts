import {
  getErasure,
  listErasures,
  MemplaneError,
  startErasure,
  verifyErasure,
} from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import { receiptOf } from '../domain/erasures/erasure-record.ts';
import { type Eraser, noErasure } from '../erasures/eraser.ts';
import type { ErasureStore } from '../erasures/erasure-store.ts';

export interface ErasureRoutesContext {
  readonly eraser: Eraser;
  readonly store: ErasureStore;
}

/** `/v1/erasures`. @param context a text: why this plane can not erase */
export function erasureRoutes(context: ErasureRoutesContext | string): Route[] {
  const parts = () => (typeof context === 'string' ? cannotErase(context) : context);
  return [
    route(startErasure, async ({ body: { entity, reason }, tenant }) => {
      return { status: 202, body: await parts().eraser.erase(tenant, entity, reason) };
    }),
    route(getErasure, async ({ params: { id }, tenant }) => {
      return ok(receiptOf(await recordOf(parts().store, tenant, id)));
    }),
    route(listErasures, async ({ query: { after, limit }, tenant }) => {
      const erasures = [];
      for await (const record of parts().store.list(tenant, after)) {
        erasures.push(receiptOf(record));
        if (erasures.length === limit) break;
      }
      const next = erasures.length === limit ? erasures.at(-1)?.id : undefined;
      return ok({ erasures, ...(next === undefined ? {} : { next }) });
    }),
    route(verifyErasure, async ({ params: { id }, tenant }) => {
      const { eraser, store } = parts();
      const { entity } = await recordOf(store, tenant, id);
      const stores = await eraser.verify(tenant, id);
      return ok({ id, entity, isClear: stores.every(({ isClear }) => isClear), stores });
    }),
  ];
}

async function recordOf(store: ErasureStore, tenant: string, id: string) {
  const record = await store.get(tenant, id);
  if (record === undefined) throw noErasure(id);
  return record;
}

/** @throws MemplaneError `not_implemented` */
export function cannotErase(why: string): never {
  throw new MemplaneError('not_implemented', `This plane can not erase. ${why}`);
}
