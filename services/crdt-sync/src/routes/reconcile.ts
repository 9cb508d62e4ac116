import { operation, reconcile } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { Reconciling } from '../domain/reconciling.ts';

export function reconcileRoute(reconciling: Reconciling): Route {
  return route(reconcile, async ({ body, signal }) => {
    const started = performance.now();
    const report = await reconciling.run(body.dryRun, signal);
    return ok({ ...report, tookMs: Math.round(performance.now() - started) });
  });
}

/**
 * What the cron binding `reconcile-timer` calls through the sidecar, by its component's name. A
 * tick that comes while one is under way is passed over.
 */
export function reconcileTimerRoute(reconciling: Reconciling): Route {
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
      if (reconciling.isRunning) return ok({ passedOver: true });
      const { differences, more, compared } = await reconciling.run(undefined, signal);
      const between = compared.map((replica) => replica.differences.length + replica.more);
      return ok({
        differences: differences.length + more,
        ...(between.length === 0 ? {} : { between: between.reduce((sum, each) => sum + each) }),
      });
    },
  };
}
