import { FEED_RECORDS_MAX, getFeed, MemplaneError } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import { formatOf, resumeFrom } from '../domain/feed.ts';
import type { OpenFeed } from '../drivers/feed-stream.ts';
import { waiting } from '../reads/cuts.ts';
import { atOwner } from '../reads/part.ts';
import type { Plane } from '../reads/plane.ts';

/** `GET /v1/feeds/{topic}` */
export function getFeedRoute(plane: Plane, openFeed: OpenFeed, feedWaitMs: number): Route {
  return route(
    getFeed,
    async ({ params, query, headers, signal, trace, tenant, seesAllTenants }) => {
      const partition = query.partition ?? 0;
      if (partition >= plane.shards.partitions) {
        throw new MemplaneError('not_found', `There is no partition ${partition}.`, {
          field: 'query.partition',
          extra: { partitions: plane.shards.partitions },
        });
      }
      const format = formatOf(headers.accept);
      const lastEventId = headers['last-event-id'];
      const request = {
        topic: params.topic,
        tenant: seesAllTenants ? undefined : tenant,
        format,
        from: resumeFrom(typeof lastEventId === 'string' ? lastEventId : undefined, query.from),
        retained: query.retained === 'true',
        select: query.select,
        limit: query.limit ?? FEED_RECORDS_MAX,
        waitMs: query.waitMs ?? (format === 'sse' ? feedWaitMs : 0),
        signal,
      };
      const stream = await atOwner(plane, partition, waiting(undefined, signal, trace), {
        here: () => openFeed({ ...request, shard: plane.shards.at(partition) }),
        there: (peers, instance) => peers.feed(instance, { ...request, partition }),
      });
      return {
        status: 200,
        stream,
        mediaType: format === 'sse' ? 'text/event-stream' : 'application/x-ndjson',
        headers: { 'cache-control': 'no-store' },
      };
    },
  );
}
