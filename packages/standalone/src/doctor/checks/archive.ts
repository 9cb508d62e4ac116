import { bytes } from '../../output/text.ts';
import { type Check, type Finding, NotHere } from '../check.ts';

/** Of its limit, at which somebody should look. */
const WARN_PART = 0.5;

/** The archive keeps up with the log. */
export const archiveCheck: Check = {
  name: 'archive',
  async run(plane) {
    const { details: views } = await plane.readiness('materializer');
    const { details: ingest } = await plane.readiness('event-ingest');
    const lagBytes = views['archiveLagBytes'];
    if (typeof lagBytes !== 'number') throw new NotHere('the plane keeps no archive');
    const { archive_lag_bytes_max: max } = plane.settings;
    const common = {
      about: 'archive',
      advice:
        'See that the archive can be written (room, keys, reachability of the storage): appends ' +
        'are refused once it is too far behind.',
    };
    const found: Finding[] = [];
    if (ingest['archiveBehind'] === true) {
      const detail = `${bytes(lagBytes)} behind: appends are refused`;
      found.push({ code: 'archive_behind', severity: 'error', detail, ...common });
    } else if (max > 0 && lagBytes > max * WARN_PART) {
      const detail = `${bytes(lagBytes)} behind, of ${bytes(max)} at which appends are refused`;
      found.push({ code: 'archive_lagging', severity: 'warning', detail, ...common });
    }
    return found;
  },
};
