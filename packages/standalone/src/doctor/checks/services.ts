import { SERVICE_ORDER } from '../../operate/plane-http.ts';
import type { Check, Finding } from '../check.ts';

/** Every service answers, and says that it is ready. */
export const servicesCheck: Check = {
  name: 'services',
  async run(plane) {
    const found = await Promise.all(
      SERVICE_ORDER.map(async (service): Promise<Finding | undefined> => {
        try {
          const { status, details } = await plane.readiness(service);
          if (status === 200) return undefined;
          return {
            code: 'service_not_ready',
            severity: 'error',
            about: service,
            detail: `/readyz answers ${status}: ${JSON.stringify(details).slice(0, 400)}`,
            advice: 'See what it says it lacks; it recovers by itself once it has that.',
          };
        } catch (error) {
          return {
            code: 'service_unreachable',
            severity: 'error',
            about: service,
            detail: (error as Error).message,
            advice: 'Start the plane, or give --url where its event-ingest answers.',
          };
        }
      }),
    );
    return found.filter((finding) => finding !== undefined);
  },
};
