import { SERVICE_ORDER } from '../../operate/plane-http.ts';
import { seconds } from '../../output/text.ts';
import type { Check, Finding } from '../check.ts';

/** `Date` has whole seconds, cut off. */
const DATE_STEP_MS = 1_000;
const SKEW_WARN_MS = 2_000;
/** Stamps of a node that is further ahead are refused by the others. */
const SKEW_ERROR_MS = 60_000;
const AHEAD_WARN_MS = 1_000;

/** The clocks of the services and of this machine agree. */
export const clocksCheck: Check = {
  name: 'clocks',
  async run(plane) {
    const found: Finding[] = [];
    for (const service of SERVICE_ORDER) {
      const { headers, answeredAtMs, tookMs } = await plane.readiness(service);
      const date = Date.parse(headers.date ?? '');
      if (Number.isNaN(date)) continue;
      // The service wrote it at some time of the call, and cut up to a second off.
      const aheadMs = Math.max(0, date - answeredAtMs);
      const behindMs = Math.max(0, answeredAtMs - tookMs - (date + DATE_STEP_MS));
      const skewMs = aheadMs || behindMs;
      if (skewMs < SKEW_WARN_MS) continue;
      found.push({
        code: 'clock_skew',
        severity: skewMs >= SKEW_ERROR_MS ? 'error' : 'warning',
        about: service,
        detail: `${seconds(skewMs)} ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine`,
        advice: 'Let NTP keep the clocks of all machines; cuts by time go by them.',
      });
    }
    const { details } = await plane.readiness('event-ingest');
    const ahead = details['clockAheadMs'];
    if (typeof ahead === 'number' && ahead > AHEAD_WARN_MS) {
      found.push({
        code: 'clock_ahead',
        severity: 'warning',
        about: 'event-ingest',
        detail: `its stamps are ${seconds(ahead)} ahead of its clock`,
        advice: 'The clock was set back, or another node is ahead: new stamps wait for neither.',
      });
    }
    return found;
  },
};
