import { parseHlc } from '@memplane/clock';
import { APPLIED_OFFSET_HEADER, type LogShapeAnswer, partitionKey } from '@memplane/contracts';
import type { LogRecord } from '@memplane/event-log';
import { pause } from '@memplane/runtime';
import { linesOf } from '../operate/ndjson.ts';
import type { PlaneHttp } from '../operate/plane-http.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';

/** What a backup asks of a plane, as `GET /v1/shards` and `/v1/digest` answer it. */
export interface ShardStates {
  readonly logId: string;
  readonly epoch: number;
  readonly moving?: readonly number[];
  readonly shards: readonly {
    readonly partition: number;
    readonly state: string;
    readonly problem?: string;
    readonly appliedOffset: number;
    readonly lag: number;
    readonly historyStart: number;
    readonly sizeBytes: number;
  }[];
}

export interface ViewDigests {
  readonly logId: string;
  readonly digest: string;
  readonly shards: readonly {
    readonly partition: number;
    readonly appliedOffset: number;
    readonly entities: number;
    readonly digest: string;
  }[];
}

/** Reading all views of a large plane takes its time before the answer begins. */
const DIGEST_TIMEOUT_MS = 15 * 60_000;
/** A shard changes its owner in seconds. */
const OWNER_TIMEOUT_MS = 60_000;
const OWNER_PAUSE_MS = 200;
/** A command has nothing to be called off by, but its end. */
const NO_SIGNAL = new AbortController().signal;
/** Answers of a feed in a row that bring nothing. */
const EMPTY_ANSWERS_MAX = 50;

export function shardStates(plane: PlaneHttp): Promise<ShardStates> {
  return plane.json('materializer', '/v1/shards');
}

export function logShape(plane: PlaneHttp): Promise<LogShapeAnswer> {
  return plane.json('materializer', '/v1/log');
}

/**
 * Every shard, in the order of their partitions. One that is on its way to another owner is waited for.
 * @throws CommandError where some have no owner for long
 */
export async function ownedShards(plane: PlaneHttp): Promise<ShardStates> {
  const deadline = performance.now() + OWNER_TIMEOUT_MS;
  for (;;) {
    const states = await shardStates(plane);
    const { moving = [] } = states;
    if (moving.length === 0) return states;
    if (performance.now() > deadline) {
      throw new CommandError(`Shards ${moving} have no owner at the moment.`, EXIT.unavailable);
    }
    await pause(OWNER_PAUSE_MS, NO_SIGNAL);
  }
}

/** As of one moment of all shards that are in one place. @throws MemplaneError `owner_moving` */
export async function viewDigests(plane: PlaneHttp): Promise<ViewDigests> {
  const deadline = performance.now() + OWNER_TIMEOUT_MS;
  for (;;) {
    try {
      return await plane.json('materializer', '/v1/digest', { idleTimeoutMs: DIGEST_TIMEOUT_MS });
    } catch (error) {
      if (!isMoving(error) || performance.now() > deadline) throw error;
      await pause(OWNER_PAUSE_MS, NO_SIGNAL);
    }
  }
}

/**
 * A shard's snapshot and the offset that it goes up to; undefined where nothing was applied. Its owner
 * alone has it, so each instance is asked in turn.
 * @throws MemplaneError `owner_moving` where none of them has been the owner for a while
 */
export async function shardSnapshot(
  plane: PlaneHttp,
  partition: number,
): Promise<{ offset: number; content: AsyncIterable<Buffer> } | undefined> {
  const path = `/v1/snapshots/${partition}`;
  const deadline = performance.now() + OWNER_TIMEOUT_MS;
  for (;;) {
    for (const instance of plane.instancesOf('materializer')) {
      try {
        const { status, headers, body } = await instance.open('materializer', path);
        if (status !== 204)
          return { offset: Number(headers[APPLIED_OFFSET_HEADER]), content: body };
        body.resume();
        return undefined;
      } catch (error) {
        if (!isMoving(error) || performance.now() > deadline) throw error;
      }
    }
    await pause(OWNER_PAUSE_MS, NO_SIGNAL);
  }
}

function isMoving(error: unknown): boolean {
  return (error as { code?: string }).code === 'owner_moving';
}

/** Replicas that take part: what one that is dead has alone, nobody can give. */
export async function replicasOf(plane: PlaneHttp): Promise<number> {
  const { members } = await plane.json<{
    readonly members: readonly { readonly state: string }[];
  }>('crdt-sync', '/v1/members');
  return members.filter(({ state }) => state === 'alive' || state === 'suspect').length;
}

/** Offsets of a partition, both included. */
export interface Range {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

/** The lines of the feed of `agent-events`. @param hasGaps none but those that a growth has left */
export async function* feedLines(
  plane: PlaneHttp,
  { partition, from, to }: Range,
  hasGaps: boolean,
): AsyncGenerator<Buffer> {
  let next = from;
  let empty = 0;
  while (next <= to) {
    const before = next;
    const path = `/v1/feeds/agent-events?partition=${partition}&from=${next}`;
    const { body } = await plane.open('materializer', path);
    for await (const line of linesOf(body)) {
      const { offset } = headOf(line);
      if (offset !== next && !hasGaps) throw gapAt(partition, next, offset);
      if (offset > to) return;
      yield line;
      next = offset + 1;
      if (next > to) return;
    }
    // The rest of it is another partition's.
    if (next === before && hasGaps) return;
    empty = next === before ? empty + 1 : 0;
    if (empty > EMPTY_ANSWERS_MAX)
      throw new Error(`partition ${partition} stands still at ${next}`);
  }
}

const EVENT = Buffer.from('"event":');

/** A line of the feed is the event as the log has it, behind its position. */
export function recordOfLine(line: Buffer, partition: number): LogRecord {
  const value = line.subarray(line.indexOf(EVENT) + EVENT.length, -1);
  const event = JSON.parse(value.toString('utf8')) as Record<string, string | undefined>;
  const { hlc = '', tenant, subject = '', partitionkey } = event;
  const key = partitionkey ?? partitionKey(tenant ?? 'default', subject);
  return { partition, offset: headOf(line).offset, key, value, hlc: parseHlc(hlc) };
}

export function gapAt(partition: number, next: number, found: number): Error {
  return new Error(`partition ${partition} has a gap: ${found} follows ${next - 1}`);
}

export function headOf(line: Buffer): { readonly offset: number } {
  const head = line.toString('utf8', 0, line.indexOf(EVENT));
  return JSON.parse(`${head}"event":0}`) as { offset: number };
}
