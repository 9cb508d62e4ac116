import { backoffMs } from './backoff.ts';
import type { Core } from './core.ts';
import { MemplaneError } from './errors.ts';
import { sleep } from './sleep.ts';
import type { JsonObject } from './types.ts';

/** One record of a feed. */
export interface FeedRecord {
  readonly partition: number;
  readonly offset: number;
  readonly epoch: number;
  readonly [more: string]: unknown;
}

export interface FeedOptions {
  readonly partition: number;
  /** The first offset; 0 by default. */
  readonly from?: number;
  /** Whether to wait for more at the end; true by default. */
  readonly follow?: boolean;
  /** Ends the iteration; it then returns, as at an end. */
  readonly signal?: AbortSignal;
  /** How long to go without an answer before giving up, in milliseconds; 60,000. */
  readonly silenceTimeoutMs?: number;
}

const LINE_CHARS_MAX = 4 * 1024 * 1024;
const IDLE_WAIT_MS = 200;

/**
 * Follows one partition of a topic. Where the plane ends an answer, or the connection breaks, it
 * goes on at the next offset, so that each record comes once and in order.
 */
export async function* readFeed(
  core: Core,
  topic: string,
  options: FeedOptions,
): AsyncGenerator<FeedRecord> {
  const { partition, follow = true, signal, silenceTimeoutMs = 60_000 } = options;
  let next = options.from ?? 0;
  let failures = 0;
  let silentSinceMs = performance.now();
  while (!signal?.aborted) {
    const before = next;
    try {
      const stream = await core.http.stream(
        {
          service: 'materializer',
          method: 'GET',
          path: `/v1/feeds/${encodeURIComponent(topic)}`,
          query: { partition, from: next },
          repeat: 'always',
          ...(signal === undefined ? {} : { signal }),
        },
        'application/x-ndjson',
      );
      silentSinceMs = performance.now();
      for await (const record of parseLines(stream)) {
        if (record.offset < next) continue;
        next = record.offset + 1;
        failures = 0;
        yield record;
      }
      if (next === before && !follow) return;
    } catch (error) {
      if (signal?.aborted) return;
      if (error instanceof MemplaneError && !error.transient) throw error;
      if (performance.now() - silentSinceMs > silenceTimeoutMs) throw error;
      failures++;
    }
    const waitMs = backoffMs(failures, core.settings, undefined, Math.random());
    if (next === before) await sleep(failures > 0 ? waitMs : IDLE_WAIT_MS, signal).catch(() => {});
  }
}

async function* parseLines(stream: AsyncIterable<Uint8Array>): AsyncGenerator<FeedRecord> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > LINE_CHARS_MAX) {
      throw new MemplaneError('bad_answer', 'A line of the feed is too long.');
    }
    for (const line of lines) {
      if (line.trim() !== '') yield parseLine(line);
    }
  }
  // What is left was cut off in the middle of a record: it comes again.
}

function parseLine(line: string): FeedRecord {
  try {
    const value = JSON.parse(line) as JsonObject;
    if (typeof value['offset'] === 'number') return value as FeedRecord;
  } catch {
    // told below
  }
  throw new MemplaneError('bad_answer', 'A line of the feed is no record.', { transient: true });
}
