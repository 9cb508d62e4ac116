import { get, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { expectStatus, headersFor } from './http.ts';

/** A record of the log as the feed of `agent-events` shows it. */
export interface FeedRecord {
  readonly partition: number;
  readonly offset: number;
  readonly epoch: number;
  /** The views left it out. */
  readonly applied?: false;
  readonly event: LoggedEvent;
}

export interface LoggedEvent {
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly hlc: string;
  readonly digest: string;
  readonly data: {
    readonly data?: unknown;
    readonly attributes?: Readonly<Record<string, unknown>>;
    readonly memory?: LoggedMemory;
  };
}

export interface LoggedMemory {
  readonly id: string;
  readonly text?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly forgotten?: boolean;
  /** Values as base64 of little-endian float32, or as numbers. */
  readonly embedding?: { readonly model: string; readonly values: string | readonly number[] };
}

export interface ShardState {
  readonly partition: number;
  /** The last offset that the view has applied; -1: none. */
  readonly appliedOffset: number;
  readonly lag: number;
}

interface ShardsAnswer {
  readonly shards: readonly ShardState[];
}

/** What the shards have applied. */
export async function readShards(materializer: string): Promise<readonly ShardState[]> {
  const answer = await expectStatus<ShardsAnswer>(200, 'GET', `${materializer}/v1/shards`);
  return answer.shards;
}

/** Waits until the views have applied the whole log, and says up to where, by partition. */
export async function readAppliedEnds(
  materializer: string,
  deadlineMs = 30_000,
): Promise<Map<number, number>> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const shards = await readShards(materializer);
    if (shards.every((shard) => shard.lag === 0)) {
      return new Map(shards.map((shard) => [shard.partition, shard.appliedOffset]));
    }
    if (performance.now() > end) {
      throw new Error(`the views do not catch up: ${JSON.stringify(shards)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const ANSWERS_WITHOUT_RECORD_MAX = 50;

/**
 * Reads one partition from `from` to `to`, both included, as NDJSON; where the server ends the
 * feed it is taken up again at the next offset.
 */
export async function* readFeed(
  materializer: string,
  partition: number,
  from: number,
  to: number,
): AsyncGenerator<FeedRecord> {
  let next = from;
  let empty = 0;
  while (next <= to) {
    const before = next;
    const url = `${materializer}/v1/feeds/agent-events?partition=${partition}&from=${next}`;
    const response = await open(url);
    try {
      for await (const line of createInterface({ input: response, crlfDelay: Infinity })) {
        if (line.trim() === '') continue;
        const record = JSON.parse(line) as FeedRecord;
        if (record.offset < next) continue;
        yield record;
        next = record.offset + 1;
        if (next > to) break;
      }
    } finally {
      response.destroy();
    }
    empty = next === before ? empty + 1 : 0;
    if (empty > ANSWERS_WITHOUT_RECORD_MAX) throw new Error(`the feed stands still: ${url}`);
  }
}

/** All records up to the given ends, partition by partition. */
export async function readLog(
  materializer: string,
  ends: ReadonlyMap<number, number>,
  from: ReadonlyMap<number, number> = new Map(),
): Promise<FeedRecord[]> {
  const records: FeedRecord[] = [];
  for (const [partition, end] of ends) {
    for await (const record of readFeed(materializer, partition, from.get(partition) ?? 0, end)) {
      records.push(record);
    }
  }
  return records;
}

function open(url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { ...headersFor(url), accept: 'application/x-ndjson' };
    const request = get(url, { headers }, (response) => {
      if (response.statusCode === 200) return resolve(response);
      response.resume();
      reject(new Error(`GET ${url}: ${response.statusCode}`));
    });
    request.setTimeout(30_000, () => request.destroy(new Error(`GET ${url}: no answer in time`)));
    request.on('error', reject);
  });
}
