import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { pause } from '@memplane/runtime';
import {
  call,
  clusteredVectors,
  figure,
  Plane,
  planeDigests,
  portsInRow,
  range,
  removeDerivedStores,
  runCommand,
  ScratchFolder,
  type Seeded,
  scaled,
  startCommand,
  testSeed,
} from '@memplane/testkit';
import { crashLoad, newCrashLoad } from './crash-load.ts';
import { GrownLog, type Remembered } from './grown-log.ts';

const ROUNDS = scaled('growth_rounds', { ci: 1, soak: 15 });
const PARTITIONS = 12;
const WRITERS = 6;
const LOAD_MS = 300;
const NO_SIGNAL = new AbortController().signal;

test(`${ROUNDS} rounds of growth under load, each killed in the middle and seen through`, async () => {
  const random = testSeed('growth');
  for (const round of range(ROUNDS)) await grow(random.fork(round), round === 0);
  figure('growth rounds', ROUNDS);
});

/** From 12 to 24, with a kill while shards are being split, and on to 48. */
async function grow(random: Seeded, isThorough: boolean): Promise<void> {
  using folder = new ScratchFolder('growth');
  const load = newCrashLoad(clusteredVectors({ seed: random.int(1, 1_000_000), dimensions: 768 }));
  const log = new GrownLog(load);
  let plane = await Plane.start({
    dataDir: folder.path,
    ports: await portsInRow(),
    env: { MEMPLANE_LOG_LEVEL: 'info' },
  });
  try {
    await underLoad(plane, load, random, () => pause(2 * LOAD_MS, NO_SIGNAL));
    const past = await log.remember(plane);

    await underLoad(plane, load, random, async () => {
      const growing = startCommand(growTo(24), { url: plane.ingest });
      const ended = once(growing, 'close');
      if (isThorough) await untilSplitting(plane);
      else await pause(random.int(0, 800), NO_SIGNAL);
      await plane.kill();
      // It would wait for the plane to come again.
      growing.kill();
      await ended;
    });
    if (isThorough)
      assert.doesNotMatch(plane.logTail(), /so have the views/, 'killed in the middle');
    plane = await plane.again();
    await underLoad(plane, load, random, async () => {
      await grown(plane, 24);
      await pause(LOAD_MS, NO_SIGNAL);
    });
    assert.deepEqual([...load.wrong, ...(await log.check(plane, 24))], [], plane.logTail());
    assert.deepEqual(await log.checkPast(plane, past), [], 'tokens of before');

    const later = await log.remember(plane);
    await underLoad(plane, load, random, () => grown(plane, 48));
    assert.deepEqual([...load.wrong, ...(await log.check(plane, 48))], [], plane.logTail());
    for (const one of [past, later]) assert.deepEqual(await log.checkPast(plane, one), []);

    const digests = await planeDigests(plane);
    if (!isThorough) {
      await plane.stop();
      plane = await plane.again();
      assert.deepEqual(await planeDigests(plane), digests, 'after a restart');
      return;
    }
    await command(['verify'], plane);
    await checkBackup(plane, log, past);
    await plane.stop();
    removeDerivedStores(folder.path);
    plane = await plane.again();
    assert.deepEqual(await planeDigests(plane), digests, 'made anew from the log');
    assert.deepEqual(await log.checkPast(plane, past), [], 'made anew from the log');
  } finally {
    await plane[Symbol.asyncDispose]();
  }
  figure('growth events acknowledged', load.counts.events);
  figure('growth reads', load.counts.reads);
}

/** A backup of the grown log restores all of it, and what was before it had grown. */
async function checkBackup(plane: Plane, log: GrownLog, past: Remembered): Promise<void> {
  using folder = new ScratchFolder('grown-backup');
  const place = `${folder.path}/backup`;
  await command(['backup', '--to', place], plane);
  const restored = async (name: string, until: string[], check: (copy: Plane) => Promise<void>) => {
    const dataDir = `${folder.path}/${name}`;
    await command(['restore', '--from', place, '--data-dir', dataDir, ...until], plane);
    await using copy = await Plane.start({ dataDir, ports: await portsInRow() });
    await check(copy);
  };
  await restored('all', [], async (copy) => {
    await command(['verify', '--backup', place], copy);
    assert.deepEqual(await log.check(copy, 48), [], 'restored');
  });
  await restored('before', ['--until', past.time], async (copy) => {
    assert.deepEqual(await log.checkRestored(copy, past), [], `restored until ${past.time}`);
    await command(['verify'], copy);
  });
}

async function command(args: readonly string[], plane: Plane): Promise<void> {
  const { code, stdout, stderr } = await runCommand(args, { url: plane.ingest });
  assert.equal(code, 0, `${args.join(' ')}: ${stdout}${stderr}`);
}

const growTo = (count: number) => ['partitions', 'grow', '--to', String(count), '--json'];

async function grown(plane: Plane, count: number): Promise<void> {
  const { code, stdout, stderr } = await runCommand(growTo(count), { url: plane.ingest });
  assert.equal(code, 0, `${stdout}${stderr}\n${plane.logTail()}`);
  const { partitions, epoch } = JSON.parse(stdout) as { partitions: number; epoch: number };
  assert.deepEqual([partitions, epoch], [count, Math.log2(count / PARTITIONS)]);
}

/** Until the first of the shards has been split; the others are one after the other. */
async function untilSplitting({ materializer }: Plane): Promise<void> {
  const url = `${materializer}/v1/feeds/agent-events?partition=${PARTITIONS}&limit=1`;
  while ((await call('GET', url, { timeoutMs: 20_000 })).status !== 200);
}

async function underLoad(
  plane: Plane,
  load: ReturnType<typeof newCrashLoad>,
  random: Seeded,
  work: () => Promise<void>,
): Promise<void> {
  let stopped = false;
  const writers = Array.from(range(WRITERS), (i) =>
    crashLoad(plane, load, random.fork(i), () => stopped),
  );
  try {
    await work();
  } finally {
    stopped = true;
    await Promise.all(writers);
  }
}
