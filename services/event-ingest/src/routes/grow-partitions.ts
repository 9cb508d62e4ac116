import { growPartitions, MemplaneError } from '@memplane/contracts';
import type { LogGrowth, LogInfo, LogWriter } from '@memplane/event-log';
import { ok, type Route, route } from '@memplane/runtime';

/** `PUT /v1/partitions` @param growth absent: this plane's log can't grow by itself */
export function growPartitionsRoute(
  log: Pick<LogWriter, 'info'>,
  growth: LogGrowth | undefined,
): Route {
  return route(growPartitions, async ({ body: { count } }) => {
    if (growth === undefined) {
      const message = 'The log of this plane does not grow by itself.';
      throw new MemplaneError('not_implemented', message);
    }
    const { partitions } = log.info;
    if (count === partitions) return ok(shapeOf(log.info));
    if (count !== 2 * partitions) {
      const message = `The log has ${partitions} partitions: it can have ${2 * partitions} next.`;
      throw new MemplaneError('invalid_request', message, {
        field: 'body.count',
        extra: { partitions },
      });
    }
    return ok(shapeOf(await growth.grow()));
  });
}

function shapeOf({ logId, epoch, partitions, lineage }: LogInfo) {
  return { logId, epoch, partitions, ...(lineage === undefined ? {} : { lineage }) };
}
