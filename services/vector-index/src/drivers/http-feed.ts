import { type FeedSelection, MemplaneError, TOPICS } from '@memplane/contracts';
import type { Invoker } from '@memplane/runtime';
import type { EventFeed, FeedLine } from '../domain/ports.ts';

export interface HttpFeedOptions {
  /** How long an answer stays open at the end of the feed. */
  readonly feedWaitMs: number;
  readonly feed_batch_lines_max: number;
}

const LINE_BYTES_MAX = 4 * 1024 * 1024;
const NEWLINE = 0x0a;

/** The materializer's feed of `agent-events`, as NDJSON over one long answer after the other. */
export function createHttpFeed(invoker: Invoker, options: HttpFeedOptions): EventFeed {
  return {
    async *read(partition, from, signal) {
      const { feedWaitMs, feed_batch_lines_max } = options;
      const open = (select?: FeedSelection) =>
        invoker.stream('materializer', `/v1/feeds/${TOPICS.events}`, {
          // From before the history's start: what an index needs of it, to be built anew.
          query: { partition, from, waitMs: feedWaitMs, retained: 'true', select },
          timeoutMs: 10 * 60_000,
          signal,
        });
      const chunks = await open('recall').catch((error) => {
        // A materializer of the version before, while the plane is upgraded, has no selection.
        if (error instanceof MemplaneError && error.code === 'invalid_request') return open();
        throw error;
      });
      let rest: Buffer = Buffer.alloc(0);
      for await (const chunk of chunks) {
        const bytes = rest.length === 0 ? Buffer.from(chunk) : Buffer.concat([rest, chunk]);
        let lines: FeedLine[] = [];
        let at = 0;
        for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, at)) {
          if (end > at) lines.push(JSON.parse(bytes.toString('utf8', at, end)) as FeedLine);
          at = end + 1;
          if (lines.length < feed_batch_lines_max) continue;
          yield lines;
          lines = [];
        }
        if (lines.length > 0) yield lines;
        rest = bytes.subarray(at);
        if (rest.length > LINE_BYTES_MAX) throw new Error('a line of the feed is too long');
      }
    },
  };
}
