import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, type Seeded } from '@memplane/testkit';
import type { Side } from './act.ts';
import { anyCut, type Cut, cutOffFrom } from './cuts.ts';
import { ALERT_MS, type Fleet } from './fleet.ts';
import type { Load } from './load.ts';
import { COUNTERS, type Memory, REGISTERS, SETS } from './memory.ts';
import type { Replica } from './replica.ts';
import { readValues, textOf } from './values.ts';

const FLAP_MS = 300;
const POLL_MS = 40;
/** As a rule. What replicas take from each other by comparing is on disk first: `everysec` takes 1 s. */
export const EQUAL_MS = { inFolders: 2_000, onRedis: 6_000 } as const;
const EQUAL_MS_MAX = 30_000;
/** A replica that stands still for a moment, as on a busy machine, accuses nobody for that time. */
const ALERT_MS_MAX = 4 * ALERT_MS;
const CLEARED_MS_MAX = 3_000;

export interface RoundContext {
  readonly fleet: Fleet;
  readonly load: Load;
  readonly memory: Memory;
  readonly random: Seeded;
  readonly figures: RoundFigures;
}

/** What rounds took, in ms, one figure each. */
export interface RoundFigures {
  readonly alerted: number[];
  readonly seen: number[];
  readonly equal: number[];
  readonly cleared: number[];
  /** Bytes of the AOFs that were cut. */
  readonly lostBytes: number[];
}

export function newFigures(): RoundFigures {
  return { alerted: [], seen: [], equal: [], cleared: [], lostBytes: [] };
}

/** One cut of the network under load, with all that happens in it, and what all have after it. */
export async function cutRound(number: number, context: RoundContext): Promise<void> {
  const { fleet, load, memory, random } = context;
  const cut = anyCut(random, fleet.ids);
  const isFlapping = random.chance(0.2);
  const killed = random.chance(0.5) ? random.shuffle(fleet.ids).slice(0, random.int(1, 2)) : [];
  const emptied = fleet.onRedis && random.chance(0.6) ? random.shuffle(fleet.ids) : [];
  const redisKilled = emptied.slice(0, random.int(1, 2));
  const isRestartedInCut = random.chance(0.5);
  const isLoadedAfter = random.chance(0.5);
  const fate = `${killed.join('')} killed${isRestartedInCut ? ', back in the cut' : ''}`;
  const words = [
    `round ${number}: ${isFlapping ? 'flapping ' : ''}${cut.name}`,
    ...(killed.length === 0 ? [] : [fate]),
    ...(redisKilled.length === 0 ? [] : [`Redis of ${redisKilled.join('')} killed`]),
    ...(isLoadedAfter ? ['load goes on'] : []),
  ].join(', ');
  console.log(`# ${words}`);
  load.start(random.fork(number), fleet.ids);
  await sleep(random.int(0, 300));
  if (isFlapping) await flap(cut, context);
  else await cutAndWaitForAlerts(number, cut, context);
  for (const id of killed) await fleet.end(id, 'SIGKILL');
  for (const id of redisKilled) await loseTail(id, context);
  await sleep(random.int(0, 800));
  if (isRestartedInCut) await Promise.all(killed.map((id) => fleet.start(id)));
  await sleep(random.int(0, 500));
  load.sideOf = () => undefined;
  await fleet.net.heal();
  const healedMs = performance.now();
  if (!isRestartedInCut) await Promise.all(killed.map((id) => fleet.start(id)));
  if (!isLoadedAfter) await load.stop();
  await fleet.allSeeAll();
  context.figures.seen.push(performance.now() - healedMs);
  await load.stop();
  await checkEqual(context);
  const isOver = performance.now();
  await allCleared(fleet);
  context.figures.cleared.push(performance.now() - isOver);
  assert.deepEqual(load.wrong, []);
  assert.equal(memory.epoch, number);
}

/** A Redis is killed and comes back, as a rule without what it was written last. */
async function loseTail(id: string, { figures, fleet, load, random }: RoundContext): Promise<void> {
  const redis = fleet.redisOf(id);
  await redis.kill();
  await sleep(random.int(0, 300));
  if (random.chance(0.75)) {
    const { bytes, sinceMs } = redis.cutTail(random);
    figures.lostBytes.push(bytes);
    if (bytes > 0) load.lostTail(id, sinceMs);
  }
  await redis.start();
  await fleet.storageBack(id);
}

/** All replicas come to be equal in time, and what they have follows from what was done. */
export async function checkEqual({
  fleet,
  load,
  memory,
  figures,
}: Omit<RoundContext, 'random'>): Promise<void> {
  const names = { counters: COUNTERS, sets: SETS, registers: REGISTERS };
  const read = async (replica: Replica) => textOf(await readValues(replica, names));
  figures.equal.push(await fleet.allEqual(EQUAL_MS_MAX, read));
  await fleet.allHaveOneDigest(EQUAL_MS_MAX);
  const [first] = fleet.all;
  if (first === undefined) throw new Error('nobody runs');
  const values = await readValues(first, names);
  assert.deepEqual([...memory.check(values), ...load.wrong], []);
  memory.settle(values);
}

async function cutAndWaitForAlerts(number: number, cut: Cut, context: RoundContext) {
  const { fleet, load, figures } = context;
  await fleet.net.cut(cut.ways);
  const cutMs = performance.now();
  const sides = cut.sides?.map((ids): Side => ({ cut: number, ids }));
  load.sideOf = (id) => sides?.find(({ ids }) => ids.includes(id));
  const waits = fleet.all.map(async (replica) => {
    const subject = cutOffFrom(replica.id, cut);
    if (subject === '') return;
    await eventually(
      `an alert at ${replica.id} about ${subject}`,
      ALERT_MS_MAX - (performance.now() - cutMs),
      async () => (await standingAt(replica, fleet)).includes(subject) || undefined,
      POLL_MS,
    );
    const tookMs = performance.now() - cutMs;
    if (tookMs > ALERT_MS) console.log(`#   ${replica.id} told of it after ${tookMs} ms`);
    figures.alerted.push(tookMs);
  });
  await Promise.all(waits);
}

async function flap(cut: Cut, { fleet, random }: RoundContext): Promise<void> {
  const times = random.int(3, 8);
  for (let i = 0; i < times; i++) {
    await fleet.net.cut(cut.ways);
    await sleep(FLAP_MS);
    await fleet.net.heal();
    await sleep(FLAP_MS);
  }
}

async function allCleared(fleet: Fleet): Promise<void> {
  await eventually('all alerts are cleared', CLEARED_MS_MAX, async () => {
    const standing = await Promise.all(fleet.all.map((one) => standingAt(one, fleet)));
    return standing.every((subjects) => subjects.length === 0) || undefined;
  });
}

/** The subjects of alerts that stand. @throws Error for one that has nothing to do with the faults */
async function standingAt(replica: Replica, { onRedis }: Fleet): Promise<string[]> {
  const alerts = await replica.alerts();
  const expected = onRedis ? ['partition', 'storage_unavailable'] : ['partition'];
  const others = alerts.filter(({ code }) => !expected.includes(code));
  assert.deepEqual(others, [], `alerts of ${replica.id}`);
  return alerts
    .filter(({ clearedAt }) => clearedAt === undefined)
    .map(({ subject = '' }) => subject);
}
