import type { Replay } from '@memplane/contracts';
import { homeOf } from '@memplane/event-log';
import { pause } from '@memplane/runtime';
import { type EventLine, PartitionDigest } from '@memplane/vector-index/backup';
import type { Manifest } from '../backup/manifest.ts';
import {
  feedLines,
  logShape,
  type ShardStates,
  shardStates,
  type ViewDigests,
  viewDigests,
} from '../backup/plane-reads.ts';
import { differencesOf } from '../doctor/entity-check.ts';
import type { PlaneHttp } from '../operate/plane-http.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import type { Stages } from '../output/stages.ts';

/** One thing beside another that it must equal. */
export interface Comparison {
  readonly what: 'views and log' | 'index and log' | 'values and digests' | 'views and backup';
  /** Which shard, entity, partition or value. */
  readonly about: string;
  readonly outcome: 'equal' | 'different' | 'not compared';
  readonly detail: string;
}

export interface VerifyOptions {
  readonly plane: PlaneHttp;
  /** The views must be what they were at its cut. */
  readonly manifest: Manifest | undefined;
  /** How long a plane that is just starting is waited for. */
  readonly startTimeoutMs: number;
  readonly stages: Pick<Stages, 'begin' | 'add'>;
}

const POLL_MS = 200;
/** Reading all values, or all events, takes its time before the answer begins. */
const LONG_MS = 15 * 60_000;

/**
 * Compares what a running plane has derived with what it is derived from: the views with a replay of
 * the log, the index with the events, the stored digests of counters, sets and registers with their
 * values, and the views with a backup's.
 */
export async function verify(options: VerifyOptions): Promise<Comparison[]> {
  const { plane, manifest } = options;
  const states = await whenServing(plane, options.startTimeoutMs);
  const beginsAt = states.shards.filter(({ historyStart }) => historyStart > 0);
  const partial = beginsAt.length > 0;
  const found: Comparison[] = [];
  if (manifest !== undefined) found.push(...compareBackup(await viewDigests(plane), manifest));
  if (partial) {
    const detail = `the history of ${beginsAt.length} shards no longer goes back to the beginning`;
    const about = 'all';
    found.push({ what: 'views and log', about, outcome: 'not compared', detail });
    found.push({ what: 'index and log', about, outcome: 'not compared', detail });
  } else {
    found.push(...(await compareViews(options)));
    found.push(...(await compareIndex(options, states)));
  }
  found.push(...(await compareValues(plane)));
  return found;
}

/** A plane that has just been started opens its shards one by one, and then its index. */
async function whenServing(plane: PlaneHttp, timeoutMs: number): Promise<ShardStates> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const states = await shardStates(plane);
    const { moving = [] } = states;
    const { logId } = await plane.json<IndexAnswer>('vector-index', '/v1/index');
    if (moving.length === 0 && logId !== undefined) return states;
    if (performance.now() > deadline) {
      const words = `Shards without an owner: ${moving.join(', ') || 'none'}; the index follows ${logId ?? 'no log yet'}.`;
      throw new CommandError(words, EXIT.unavailable);
    }
    await pause(POLL_MS, new AbortController().signal);
  }
}

function compareBackup(digests: ViewDigests, { views, cut }: Manifest): Comparison[] {
  return views.shards.map((expected) => {
    const found = digests.shards[expected.partition];
    const common = { what: 'views and backup', about: `shard ${expected.partition}` } as const;
    if (found === undefined || digests.shards.length !== cut.offsets.length) {
      return { ...common, outcome: 'different', detail: 'the plane has other partitions' };
    }
    if (found.appliedOffset !== expected.appliedOffset) {
      const detail = `the plane is at ${found.appliedOffset}, the backup's cut at ${expected.appliedOffset}`;
      return { ...common, outcome: 'not compared', detail };
    }
    const isEqual = found.digest === expected.digest && found.entities === expected.entities;
    const detail = isEqual
      ? `${found.entities} entities at offset ${found.appliedOffset}`
      : `${found.digest} of ${found.entities} entities, in the backup ${expected.digest} of ${expected.entities}`;
    return { ...common, outcome: isEqual ? 'equal' : 'different', detail };
  });
}

/** The plane folds its log anew, apart from the views, and compares. */
async function compareViews({ plane, stages }: VerifyOptions): Promise<Comparison[]> {
  stages.begin('views and log', 1);
  const what = 'views and log';
  let replay = await plane.json<Replay>('materializer', '/v1/replays', {
    method: 'POST',
    body: {},
  });
  while (replay.status === 'queued' || replay.status === 'running') {
    await pause(POLL_MS, new AbortController().signal);
    replay = await plane.json<Replay>('materializer', `/v1/replays/${replay.id}`);
  }
  const { difference, digest, events, problem } = replay;
  if (difference === undefined) {
    const detail = `the replay failed: ${problem?.code}: ${problem?.detail}`;
    return [{ what, about: 'all', outcome: 'not compared', detail }];
  }
  const found: Comparison[] = [];
  for (const { entity, paths } of difference.entities) {
    // What was appended during the replay is in the live view alone.
    const wrong = await differencesOf(plane, entity);
    if (wrong?.length === 0) continue;
    const detail = wrong?.join('; ') ?? `at ${paths.join(', ')}`;
    found.push({ what, about: entity, outcome: 'different', detail });
  }
  if (difference.truncated && difference.different > difference.entities.length) {
    const detail = `${difference.different} entities differ from the replay; not all are listed`;
    found.push({ what, about: 'all', outcome: 'different', detail });
  }
  if (found.length > 0) return found;
  const entities = difference.equal + difference.different;
  const detail = `${entities} entities, ${events.folded} events, replay ${digest ?? ''}`;
  return [{ what, about: 'all', outcome: 'equal', detail }];
}

interface IndexPartition {
  readonly partition: number;
  readonly applied: number;
  readonly rows: number;
  readonly digest: string;
}

interface IndexAnswer {
  readonly logId?: string;
  readonly generations: readonly {
    readonly state: string;
    readonly partitions: readonly IndexPartition[];
  }[];
}

async function compareIndex(
  { plane, stages }: VerifyOptions,
  { logId }: ShardStates,
): Promise<Comparison[]> {
  const what = 'index and log';
  const index = await plane.json<IndexAnswer>('vector-index', '/v1/index');
  if (index.logId !== logId) {
    const detail = `the index follows ${index.logId}, the views ${logId}`;
    return [{ what, about: 'all', outcome: 'different', detail }];
  }
  const live = index.generations.find(({ state }) => state === 'live')?.partitions ?? [];
  const total = live.reduce((sum, { applied }) => sum + applied + 1, 0);
  stages.begin('index and log', total);
  const { lineage } = await logShape(plane);
  const digests = live.map(() => new PartitionDigest());
  for (const { partition, applied } of live) {
    const range = { partition, from: 0, to: applied };
    for await (const text of feedLines(plane, range, lineage !== undefined)) {
      const line = JSON.parse(text.toString('utf8')) as EventLine;
      const home = lineage && homeOf(lineage, partition, line.offset);
      digests[home ?? partition]?.add(line, home);
      stages.add(1);
    }
  }
  const found: Comparison[] = [];
  for (const { partition, applied, rows, digest } of live) {
    const expected = digests[partition] ?? new PartitionDigest();
    const isEqual = rows === expected.rows && digest === expected.hex;
    found.push({
      what,
      about: `partition ${partition}`,
      outcome: isEqual ? 'equal' : 'different',
      detail: isEqual
        ? `${rows} rows at offset ${applied}, ${digest}`
        : `the index has ${rows} rows (${digest}), the log ${expected.rows} (${expected.hex}), at offset ${applied}`,
    });
  }
  return found;
}

interface Reconciliation {
  readonly digest: string;
  readonly differences: readonly { tenant: string; type: string; name: string }[];
  readonly more: number;
  readonly compared: readonly { replica: string; differences: readonly unknown[]; more: number }[];
}

/** Digests of all values are computed anew, and compared with those stored and with other replicas. */
async function compareValues(plane: PlaneHttp): Promise<Comparison[]> {
  const what = 'values and digests';
  const answer = await plane.json<Reconciliation>('crdt-sync', '/v1/reconciliations', {
    method: 'POST',
    body: { dryRun: true },
    idleTimeoutMs: LONG_MS,
  });
  const found: Comparison[] = answer.differences.map(({ tenant, type, name }) => ({
    what,
    about: `${type} ${tenant === 'default' ? '' : `${tenant}:`}${name}`,
    outcome: 'different',
    detail: 'it does not have the digest that was stored with it',
  }));
  for (const { replica, differences, more } of answer.compared) {
    const count = differences.length + more;
    if (count === 0) continue;
    const detail = `${count} values differ from this replica's`;
    found.push({ what, about: `replica ${replica}`, outcome: 'different', detail });
  }
  if (found.length > 0) return found;
  return [{ what, about: 'all', outcome: 'equal', detail: answer.digest }];
}
