import { SERVICE_ORDER } from '../../operate/plane-http.ts';
import type { Check, Finding } from '../check.ts';

/** All services, and this command, are of one version. */
export const versionsCheck: Check = {
  name: 'versions',
  async run(plane) {
    const versions = await Promise.all(
      SERVICE_ORDER.map(async (service) => {
        const { info } = await plane.http.json<{ info: { version: string } }>(
          service,
          '/openapi.json',
        );
        return { service, version: info.version };
      }),
    );
    const found: Finding[] = [];
    const all = versions.map(({ service, version }) => `${service} ${version}`).join(', ');
    if (new Set(versions.map(({ version }) => version)).size > 1) {
      found.push({
        code: 'versions_differ',
        severity: 'error',
        about: 'services',
        detail: all,
        advice: 'Bring all services to one version; during an upgrade, finish it.',
      });
    } else if (versions[0]?.version !== plane.settings.version) {
      found.push({
        code: 'command_version_differs',
        severity: 'warning',
        about: 'memplane',
        detail: `this command is ${plane.settings.version}; ${all}`,
        advice: 'Use the command of the version that the plane has.',
      });
    }
    return found;
  },
};
