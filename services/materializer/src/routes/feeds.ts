import { FEED_RECORDS_MAX, getFeed, MemplaneError, TOPICS } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import { formatOf, resumeFrom } from '../domain/feed.ts';
import { feedSource, type RecordArchive } from '../drivers/feed-sources.ts';
import { type FeedSettings, openFeed } from '../drivers/feed-stream.ts';
import type { Plane } from '../reads/plane.ts';

/** `GET /v1/feeds/{topic}` */
export function getFeedRoute(
  plane: Plane,
  settings: FeedSettings & { readonly feedWaitMs: number },
  archive?: RecordArchive,
): Route {
  return route(getFeed, async ({ params, query, headers, signal }) => {
    const partition = query.partition ?? 0;
    if (partition >= plane.shards.partitions) {
      throw new MemplaneError('not_found', `There is no partition ${partition}.`, {
        field: 'query.partition',
        extra: { partitions: plane.shards.partitions },
      });
    }
    const shard = plane.shards.at(partition);
    const format = formatOf(headers.accept);
    const lastEventId = headers['last-event-id'];
    const stream = await openFeed(
      feedSource(params.topic, plane, archive, query.retained === 'true'),
      {
        topic: params.topic,
        format,
        shard,
        from: resumeFrom(
          typeof lastEventId === 'string' ? lastEventId : undefined,
          query.from ?? (params.topic === TOPICS.events ? shard.record.historyStart : 0),
        ),
        limit: query.limit ?? FEED_RECORDS_MAX,
        waitMs: query.waitMs ?? (format === 'sse' ? settings.feedWaitMs : 0),
        signal,
      },
      settings,
    );
    return {
      status: 200,
      stream,
      mediaType: format === 'sse' ? 'text/event-stream' : 'application/x-ndjson',
      headers: { 'cache-control': 'no-store' },
    };
  });
}
