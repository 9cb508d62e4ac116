import { getAlerts } from '@memplane/contracts';
import { ok, route } from '@memplane/runtime';
import type { Alerts } from '../domain/alerts.ts';

export function getAlertsRoute(alerts: Alerts) {
  return route(getAlerts, async () => ok({ alerts: await alerts.listAll() }));
}
