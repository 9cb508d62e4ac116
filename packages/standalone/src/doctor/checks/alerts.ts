import type { ReplicaAlert } from '@memplane/client';
import type { Check } from '../check.ts';

/** Nothing that raised an alert is still so. */
export const alertsCheck: Check = {
  name: 'alerts',
  async run(plane) {
    const { alerts } = await plane.http.json<{ alerts: readonly ReplicaAlert[] }>(
      'crdt-sync',
      '/v1/alerts',
    );
    return alerts
      .filter(({ clearedAt }) => clearedAt === undefined)
      .map(({ code, detail, subject, time, count }) => ({
        code: 'alert_open',
        severity: 'warning',
        about: subject === undefined ? code : `${code} ${subject}`,
        detail: `since ${time}, ${count} times: ${detail}`,
        advice: 'docs/operations.md says what each alert asks for.',
      }));
  },
};
