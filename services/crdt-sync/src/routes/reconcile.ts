import { operation, reconcile as reconcileOperation } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { Alerts } from '../domain/alerts.ts';
import type { Engine } from '../domain/engine.ts';
import type { CrdtStore } from '../domain/port.ts';
import { type Reconciled, reconcile } from '../domain/reconcile.ts';
import { dispatch } from './dispatch.ts';

/** Compares all that is stored, and raises an alert for each value that is not as it was written. */
async function run(
  engine: Engine,
  store: CrdtStore,
  alerts: Alerts,
  signal: AbortSignal,
): Promise<Reconciled> {
  const { outcome } = await dispatch(engine, 'scan', { tenant: '', name: '' }, (command) => {
    command.scan = () => reconcile(store.verify(), signal);
  });
  const report = outcome.value as Reconciled;
  for (const { type, name } of report.differences) {
    alerts.raise('storage_damaged', 'A value does not have its digest.', `${type}/${name}`);
  }
  await alerts.save();
  return report;
}

export function reconcileRoute(engine: Engine, store: CrdtStore, alerts: Alerts): Route {
  return route(reconcileOperation, async ({ body, signal }) => {
    const started = performance.now();
    const report = await run(engine, store, alerts, signal);
    const tookMs = Math.round(performance.now() - started);
    return ok({ dryRun: body.dryRun, replicas: 1, ...report, tookMs });
  });
}

/**
 * What the cron binding `reconcile-timer` calls through the sidecar, by its component's name. A
 * tick that comes while one is under way is passed over.
 */
export function reconcileTimerRoute(engine: Engine, store: CrdtStore, alerts: Alerts): Route {
  let isRunning = false;
  return {
    operation: operation({
      id: 'reconcileTimer',
      method: 'post',
      path: '/reconcile-timer',
      summary: 'A tick of the cron binding',
      tags: ['sidecar'],
      responses: { 200: { description: 'Done, or passed over.' } },
      errors: [],
    }),
    isForSidecar: true,
    async handle({ signal }) {
      if (isRunning) return ok({ passedOver: true });
      isRunning = true;
      try {
        const { differences, more } = await run(engine, store, alerts, signal);
        return ok({ differences: differences.length + more });
      } finally {
        isRunning = false;
      }
    },
  };
}
