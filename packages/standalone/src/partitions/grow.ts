import { MemplaneError } from '@memplane/client';
import type { IndexStatus, LogShapeAnswer } from '@memplane/contracts';
import { pause } from '@memplane/runtime';
import { type ShardStates, shardStates } from '../backup/plane-reads.ts';
import type { PlaneHttp } from '../operate/plane-http.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import type { Stages } from '../output/stages.ts';

export interface GrowOptions {
  readonly plane: PlaneHttp;
  /** How many partitions the log is to have. */
  readonly to: number;
  /** How long views and index may take to follow. */
  readonly waitMs: number;
  readonly stages: Pick<Stages, 'begin' | 'add'>;
}

export interface GrowReport extends LogShapeAnswer {
  /** Until the log had grown: appends waited for a part of it. */
  readonly logMs: number;
  /** Until views and index had followed. */
  readonly tookMs: number;
}

const POLL_MS = 100;
const NO_SIGNAL = new AbortController().signal;

/**
 * Doubles the partitions of a running plane's log, and waits until views and index have followed.
 * To be repeated whenever it was broken off: a log that has as many already is only waited for.
 * @throws MemplaneError `invalid_request` for any other number; CommandError after `waitMs`
 */
export async function growPartitions(options: GrowOptions): Promise<GrowReport> {
  const { plane, to, waitMs, stages } = options;
  const startedAt = performance.now();
  const log = await plane.json<LogShapeAnswer>('event-ingest', '/v1/partitions', {
    method: 'PUT',
    body: { count: to },
  });
  const logMs = Math.round(performance.now() - startedAt);
  const deadline = startedAt + waitMs;
  const follow = async (name: string, countFollowing: () => Promise<number>) => {
    stages.begin(name, to);
    for (let told = 0; ; ) {
      const following = (await countFollowing().catch(unlessBusy)) ?? told;
      stages.add(following - told);
      told = following;
      if (following === to) return;
      if (performance.now() > deadline) {
        const words = `The log has ${to} partitions; of its ${name}, ${following} have followed, and the others do so on their own: repeat the command to wait for them.`;
        throw new CommandError(words, EXIT.unavailable);
      }
      await pause(POLL_MS, NO_SIGNAL);
    }
  };
  await follow('views', async () => countShards(await shardStates(plane), log.epoch));
  await follow('index', async () =>
    countIndexed(await plane.json<IndexStatus>('vector-index', '/v1/index'), to),
  );
  return { ...log, logMs, tookMs: Math.round(performance.now() - startedAt) };
}

/** A plane that has much to do, or is starting again, is asked once more. */
function unlessBusy(error: unknown): undefined {
  if (error instanceof MemplaneError && error.transient) return undefined;
  throw error;
}

/** Of the views' shards: those that are there, whole, of the epoch. */
function countShards({ epoch, shards }: ShardStates, wanted: number): number {
  return epoch < wanted ? 0 : shards.length;
}

/** Every generation follows all partitions from the same moment on. */
function countIndexed({ generations }: IndexStatus, to: number): number {
  return Math.min(to, ...generations.map(({ partitions }) => partitions.length));
}
