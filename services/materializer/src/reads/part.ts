import { MemplaneError } from '@memplane/contracts';
import { pause } from '@memplane/runtime';
import type { Peers } from '../peers.ts';
import { ownerMoving } from '../shard.ts';
import type { Plane, Waiting } from './plane.ts';

/**
 * A part of a read: what it needs of some partitions, run on the instance that owns them. Query and
 * answer are JSON, since that instance may be another one.
 */
export interface Part<Query, Answer> {
  readonly name: string;
  /** The longest that it may take beyond the waiting; default {@link PART_TIMEOUT_MS}. */
  readonly timeoutMs?: number;
  /** All partitions are owned here when it begins, and the answer only counts if they are at its end. */
  run(
    plane: Plane,
    partitions: readonly number[],
    query: Query,
    wait: Waiting,
  ): Promise<Answer> | Answer;
}

export interface Question<Query> {
  readonly partitions: readonly number[];
  /** What the owner of some of them is asked. */
  readonly query: (partitions: readonly number[]) => Query;
  readonly wait: Waiting;
}

const PART_TIMEOUT_MS = 1_000;
const RETRY_PAUSE_MS_MIN = 10;
const RETRY_PAUSE_MS_MAX = 250;

/** All partitions of the log. */
export function allPartitions({ shards }: Plane): number[] {
  return Array.from({ length: shards.partitions }, (_, partition) => partition);
}

/**
 * Runs a part here. The ownership is checked when the answer is there, so that what was worked out
 * by an instance that slept for longer than its ownership lasts is never told.
 * @throws MemplaneError `owner_moving`
 */
export async function runHere<Query, Answer>(
  plane: Plane,
  part: Part<Query, Answer>,
  partitions: readonly number[],
  query: Query,
  wait: Waiting,
): Promise<Answer> {
  const check = plane.shards.hold(partitions);
  try {
    return await part.run(plane, partitions, query, wait);
  } finally {
    // That there is no such thing is an answer too, and as old as any other.
    check();
  }
}

/**
 * Asks the owners of some partitions, each once about all of its own, and waits while partitions
 * are changing their owners, as long as the read may wait.
 * @returns an answer of each owner, in no order
 * @throws MemplaneError `owner_moving` past the deadline, what the part throws
 */
export async function gather<Query, Answer>(
  plane: Plane,
  part: Part<Query, Answer>,
  question: Question<Query>,
): Promise<Answer[]> {
  const { partitions, query, wait } = question;
  if (plane.peers === undefined) {
    return [await runHere(plane, part, partitions, query(partitions), wait)];
  }
  const answers: Answer[] = [];
  let left: readonly number[] = partitions;
  for (let attempt = 0; ; attempt++) {
    const moving: number[] = [];
    const groups = await groupByOwner(plane, left, attempt > 0);
    await Promise.all(
      groups.map(async ({ instance, own }) => {
        try {
          answers.push(await ask(plane, part, instance, own, question));
        } catch (error) {
          if (!isMoving(error)) throw error;
          moving.push(...own);
        }
      }),
    );
    const [first] = moving;
    if (first === undefined) return answers;
    left = moving;
    await pauseForMove(first, attempt, wait);
  }
}

/** @throws MemplaneError `owner_moving` when the read may wait no longer */
async function pauseForMove(partition: number, attempt: number, wait: Waiting): Promise<void> {
  const pauseMs = Math.min(RETRY_PAUSE_MS_MAX, RETRY_PAUSE_MS_MIN * 2 ** Math.min(attempt, 10));
  // What was known of the owners may be old: one more attempt is due in any case.
  if (attempt > 0 && performance.now() + pauseMs > wait.deadline) throw ownerMoving(partition);
  await pause(pauseMs, wait.signal);
  wait.signal.throwIfAborted();
}

/**
 * Does something where a partition's shard is, waiting as {@link gather} does.
 * @throws MemplaneError `owner_moving` past the deadline, what the work throws
 */
export async function atOwner<T>(
  plane: Plane,
  partition: number,
  wait: Waiting,
  work: { here: () => Promise<T>; there: (peers: Peers, instance: string) => Promise<T> },
): Promise<T> {
  const { peers } = plane;
  if (peers === undefined) return await work.here();
  for (let attempt = 0; ; attempt++) {
    const [owner] = await groupByOwner(plane, [partition], attempt > 0);
    try {
      if (owner?.instance === HERE) return await work.here();
      if (owner?.instance !== undefined) return await work.there(peers, owner.instance);
    } catch (error) {
      if (!isMoving(error)) throw error;
    }
    await pauseForMove(partition, attempt, wait);
  }
}

/** {@link gather} for one partition. */
export async function askOwner<Query, Answer>(
  plane: Plane,
  part: Part<Query, Answer>,
  partition: number,
  query: Query,
  wait: Waiting,
): Promise<Answer> {
  const [answer] = await gather(plane, part, {
    partitions: [partition],
    query: () => query,
    wait,
  });
  return answer as Answer;
}

/** The answers of those owners that can be reached at once, and the partitions of the others. */
export async function gatherReachable<Query, Answer>(
  plane: Plane,
  part: Part<Query, Answer>,
  question: Question<Query>,
): Promise<{ readonly answers: readonly Answer[]; readonly missing: readonly number[] }> {
  const missing: number[] = [];
  const answers: Answer[] = [];
  const groups = await groupByOwner(plane, question.partitions, true);
  await Promise.all(
    groups.map(async ({ instance, own }) => {
      try {
        answers.push(await ask(plane, part, instance, own, question));
      } catch (error) {
        if (!isMoving(error)) throw error;
        missing.push(...own);
      }
    }),
  );
  return { answers, missing: missing.sort((a, b) => a - b) };
}

/** Some partitions, and the instance that owns them: `HERE`, or none that is known. */
interface Group {
  readonly instance: string | typeof HERE | undefined;
  readonly own: readonly number[];
}

const HERE = Symbol('this instance');

async function groupByOwner(
  plane: Plane,
  partitions: readonly number[],
  isFresh: boolean,
): Promise<Group[]> {
  const { shards, peers } = plane;
  const groups = new Map<Group['instance'], number[]>();
  const elsewhere: number[] = [];
  for (const partition of partitions) {
    if (shards.get(partition) !== undefined) addTo(groups, HERE, partition);
    else if (peers === undefined) addTo(groups, undefined, partition);
    else elsewhere.push(partition);
  }
  if (elsewhere.length > 0 && peers !== undefined) {
    const owners = await peers.owners(isFresh).catch(() => new Map<number, string>());
    for (const partition of elsewhere) {
      const owner = owners.get(partition);
      // An instance that is to own it and has not opened it yet can't answer either.
      addTo(groups, owner === peers.self ? undefined : owner, partition);
    }
  }
  return Array.from(groups, ([instance, own]) => ({ instance, own }));
}

function addTo(
  groups: Map<Group['instance'], number[]>,
  instance: Group['instance'],
  partition: number,
): void {
  const group = groups.get(instance);
  if (group === undefined) groups.set(instance, [partition]);
  else group.push(partition);
}

async function ask<Query, Answer>(
  plane: Plane,
  part: Part<Query, Answer>,
  instance: Group['instance'],
  own: readonly number[],
  { query, wait }: Question<Query>,
): Promise<Answer> {
  if (instance === HERE) return await runHere(plane, part, own, query(own), wait);
  if (instance === undefined || plane.peers === undefined) throw ownerMoving(own[0] ?? 0);
  const { name, timeoutMs = PART_TIMEOUT_MS } = part;
  const call = { part: name, query: query(own), partitions: own, wait, timeoutMs };
  return (await plane.peers.call(instance, call)) as Answer;
}

/** Whether another owner may soon answer instead. */
function isMoving(error: unknown): boolean {
  return error instanceof MemplaneError && MOVING.has(error.code);
}

const MOVING: ReadonlySet<string> = new Set([
  'owner_moving',
  'dependency_unavailable',
  'shutting_down',
]);
