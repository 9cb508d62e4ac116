import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  call,
  clusteredVectors,
  figure,
  Plane,
  range,
  readAppliedEnds,
  readLog,
  ScratchFolder,
  type Seeded,
  scaled,
  testSeed,
} from '@memplane/testkit';
import { crashLoad, newCrashLoad } from '../faults/crash-load.ts';
import { FaultChecks, type JudgedLoad } from '../stack/fault-checks.ts';
import { COUNTER } from '../stack/fault-load.ts';
import { NOW, type Version, versionBefore } from './versions.ts';

// A standalone plane is ended under load, as a supervisor ends it, and another version goes on with its
// folder. There is one process: nobody answers in between.
const WRITERS = 6;
const READY_TIMEOUT_MS = 180_000;
const loadMs = scaled('standalone_upgrade_ms', { ci: 5_000, soak: 30_000 });

test('a standalone plane goes on with the folder of the version before', async () => {
  await follows(await versionBefore(), NOW);
});

test('the version before goes on with the folder of a standalone plane', async () => {
  await follows(NOW, await versionBefore());
});

/** All that either version has acknowledged is there, once, by what the second one says. */
async function follows(first: Version, second: Version): Promise<void> {
  const random = testSeed(`${second.name} after ${first.name}`);
  using folder = new ScratchFolder('standalone-upgrade');
  const load = {
    appends: newCrashLoad(clusteredVectors({ seed: 47 })),
    increments: { acknowledged: 0, next: 0 },
  };
  const optionsOf = ({ app }: Version) => ({
    dataDir: folder.path,
    readyTimeoutMs: READY_TIMEOUT_MS,
    launcher: join(app, 'dist/memplane'),
  });
  await using before = await Plane.start(optionsOf(first));
  let endedAt = 0;
  await during(before, load, random.fork(0), async () => {
    await sleep(loadMs);
    endedAt = performance.now();
    const { code } = await before.stop();
    assert.equal(code, 0, `${first.name} has ended with ${code}: ${before.logTail()}`);
  });
  const atEnd = load.appends.counts.events;
  figure(`events acknowledged by ${first.name}`, atEnd);

  await using now = await Plane.start({ ...optionsOf(second), ports: before.ports });
  figure('nobody answered for', Math.round(performance.now() - endedAt), 'ms');
  await during(now, load, random.fork(1), () => sleep(loadMs));
  figure('events acknowledged by both', load.appends.counts.events);
  assert.ok(atEnd > 0 && load.appends.counts.events > atEnd, 'both were under load');
  assert.ok(load.appends.counts.duplicates > 0, 'repetitions were real');
  await judge(now, load);
}

async function judge(plane: Plane, load: JudgedLoad): Promise<void> {
  assert.deepEqual(load.appends.wrong.slice(0, 10), []);
  const records = await readLog(plane.materializer, await readAppliedEnds(plane.materializer));
  const checks = new FaultChecks(plane, load);
  const unseen = { hlc: '', ends: new Map() };
  assert.deepEqual((await checks.check(records, unseen)).slice(0, 10), []);
  assert.ok(load.increments.acknowledged > 0);
  // An increment that is counted twice, and a log without one event, would be found.
  load.increments.acknowledged++;
  const planted = await checks.check(records.slice(0, -1), unseen);
  assert.ok(
    planted.some((wrong) => wrong.includes(COUNTER)),
    planted.join('\n'),
  );
  assert.ok(planted.length > 1, planted.join('\n'));
}

/** Appends, reads and counts for as long as the work takes. */
async function during(
  plane: Plane,
  load: JudgedLoad,
  random: Seeded,
  work: () => Promise<void>,
): Promise<void> {
  const isStopped = { yes: false };
  const stopped = () => isStopped.yes || plane.exit !== undefined;
  const writers = Array.from(range(WRITERS), (i) =>
    crashLoad(plane, load.appends, random.fork(i), stopped),
  );
  const counting = count(plane, load, stopped);
  try {
    await work();
  } finally {
    isStopped.yes = true;
    await Promise.all([...writers, counting]);
  }
}

/** One that nobody has answered is tried again, with its id, by the next plane too. */
async function count(plane: Plane, { increments }: JudgedLoad, stopped: () => boolean) {
  while (!stopped()) {
    const body = { by: 1, opId: `op${increments.next}` };
    const url = `${plane.crdt}/v1/counters/${COUNTER}/increments`;
    const answer = await call('POST', url, { body }).catch(() => undefined);
    if (answer?.status !== 200) continue;
    increments.next++;
    increments.acknowledged++;
    await sleep(5);
  }
}
