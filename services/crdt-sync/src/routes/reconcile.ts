import { reconcile as reconcileOperation } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import type { Alerts } from '../domain/alerts.ts';
import type { Engine } from '../domain/engine.ts';
import type { CrdtStore } from '../domain/port.ts';
import { reconcile } from '../domain/reconcile.ts';
import { dispatch } from './dispatch.ts';

export function reconcileRoute(engine: Engine, store: CrdtStore, alerts: Alerts) {
  return route(reconcileOperation, async ({ tenant, body, signal }) => {
    const started = performance.now();
    const { outcome } = await dispatch(engine, 'scan', { tenant, name: '' }, (command) => {
      command.scan = () => reconcile(store.verify(), signal);
    });
    const report = outcome.value as Awaited<ReturnType<typeof reconcile>>;
    for (const { type, name } of report.differences) {
      alerts.raise('storage_damaged', 'A value does not have its digest.', `${type}/${name}`);
    }
    await alerts.save();
    const tookMs = Math.round(performance.now() - started);
    return ok({ dryRun: body.dryRun, replicas: 1, ...report, tookMs });
  });
}
