import { getLog } from '@memplane/contracts';
import type { LogReader } from '@memplane/event-log';
import { ok, type Route, route } from '@memplane/runtime';

/** `GET /v1/log` */
export function getLogRoute(log: Pick<LogReader, 'info'>): Route {
  return route(getLog, () => {
    const { logId, epoch, partitions, lineage } = log.info;
    return ok({ logId, epoch, partitions, ...(lineage === undefined ? {} : { lineage }) });
  });
}
