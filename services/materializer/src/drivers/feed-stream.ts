import type { FeedSelection } from '@memplane/contracts';
import { type FeedFormat, frame, SSE_KEEP_ALIVE } from '../domain/feed.ts';
import { ownerMoving, type Shard } from '../shard.ts';
import type { FeedSource, FeedStep } from './feed-sources.ts';

export interface FeedSettings {
  /** Records of one answer, and their bytes; the answer ends at the first record beyond. */
  readonly feed_records_max: number;
  readonly feed_bytes_max: number;
  /** Bytes that are read, and held in memory, at once. */
  readonly feed_chunk_bytes: number;
  /** How often a silent stream shows that it lives. */
  readonly feedKeepAliveMs: number;
}

export interface FeedRequest {
  readonly topic: string;
  /** Whose lines are given; absent: of all tenants. */
  readonly tenant?: string | undefined;
  readonly format: FeedFormat;
  readonly shard: Shard;
  /** Whether the shard is still surely this instance's. */
  readonly isOwned: () => boolean;
  readonly from: number;
  readonly limit: number;
  /** How long to stay open at the end, from the last record on. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

export type OpenFeed = (request: OwnFeedRequest) => Promise<AsyncIterable<Uint8Array>>;

/** A feed of a shard that is here. */
export interface OwnFeedRequest extends Omit<FeedRequest, 'isOwned' | 'from'> {
  /** Absent: where the feed begins. */
  readonly from?: number | undefined;
  /** Begin a feed of events from before the history's start with what is kept of it. */
  readonly retained: boolean;
  /** Of a feed of events; absent: all. */
  readonly select?: FeedSelection | undefined;
}

/**
 * Answers a feed in chunks, as long as the shard is this instance's. The first step is made before the answer begins, so that what it throws
 * is answered as a problem. A later failure ends the stream; the reader goes on from where it is.
 */
export async function openFeed(
  source: FeedSource,
  request: FeedRequest,
  settings: FeedSettings,
): Promise<AsyncGenerator<Buffer, void, undefined>> {
  const { shard, from } = request;
  const first = await source(shard.partition, from, settings.feed_chunk_bytes);
  if (!request.isOwned()) throw ownerMoving(shard.partition);
  return stream(source, request, settings, first);
}

async function* stream(
  source: FeedSource,
  request: FeedRequest,
  settings: FeedSettings,
  first: FeedStep,
): AsyncGenerator<Buffer, void, undefined> {
  const { shard, signal, format, topic } = request;
  let records = Math.min(request.limit, settings.feed_records_max);
  let bytes = settings.feed_bytes_max;
  let idleUntil = performance.now() + request.waitMs;
  let { lines, next } = first;
  while (!signal.aborted && request.isOwned()) {
    if (lines.length > 0) {
      const chunk = frame(lines.slice(0, records), format, topic);
      records -= lines.length;
      bytes -= chunk.length;
      idleUntil = performance.now() + request.waitMs;
      yield chunk;
      if (records <= 0 || bytes <= 0) return;
    } else if (next > shard.applied) {
      if (performance.now() >= idleUntil) return;
      const until = Math.min(idleUntil, performance.now() + settings.feedKeepAliveMs);
      const came = await shard.waitFor(next, until, signal, 'patient');
      if (!came && format === 'sse') yield SSE_KEEP_ALIVE;
    }
    ({ lines, next } = await source(shard.partition, next, settings.feed_chunk_bytes));
  }
}
