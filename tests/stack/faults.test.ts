import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { apartNet, whyNotApart } from '@memplane/stack';
import {
  type EntityView,
  entityPath,
  figure,
  forEachAtMost,
  range,
  type Seeded,
  scaled,
  testSeed,
} from '@memplane/testkit';
import { Apart } from './apart.ts';
import { consumeAll, consumeEvents } from './console-consumer.ts';
import { FaultChecks, OURS, READERS, type Seen } from './fault-checks.ts';
import { FaultLoad } from './fault-load.ts';
import { FAULTS, type Fault } from './faults.ts';
import { persist } from './persist.ts';
import { StackPlane } from './stack-plane.ts';

const ROUNDS = scaled('stack_rounds', { ci: 10, soak: 100 });
const CUT_MS = scaled('stack_cut_ms', { ci: 15_000, soak: 30_000 });
const PAUSE_MS = scaled('stack_pause_ms', { ci: 15_000, soak: 30_000 });
/** `MEMPLANE_TEST_STACK_FAULTS=cut` runs those alone that are named so. */
const NAMED = process.env['MEMPLANE_TEST_STACK_FAULTS'] ?? '';
const CHOSEN = FAULTS.filter(({ name }) => name.includes(NAMED));

let plane: StackPlane;
let load: FaultLoad;
let checks: FaultChecks;
before(async () => {
  plane = await StackPlane.connect();
  await plane.restore();
  load = new FaultLoad(plane);
  checks = new FaultChecks(plane, load);
});

test(`${ROUNDS} rounds of faults under load`, async (t) => {
  const random = testSeed('stack faults');
  const seen: Seen = { hlc: '', ends: new Map() };
  for (const round of range(ROUNDS)) {
    const fault = CHOSEN[round % Math.min(CHOSEN.length, ROUNDS)] as Fault;
    const skip = fault.isCut === true && noNamespaces();
    await t.test(`${round + 1}: ${fault.name}`, { skip }, async () => {
      await using apart = fault.isCut ? await Apart.start(plane, fault.parts[0] ?? '') : undefined;
      await strike(fault, random.fork(round), apart);
      const records = await consumeEvents(plane);
      const wrong = [...load.appends.wrong.splice(0), ...(await checks.check(records, seen))];
      assert.deepEqual(wrong.slice(0, 20), []);
      for (const { event, partition, offset } of records) {
        if (event.hlc > seen.hlc) seen.hlc = event.hlc;
        seen.ends.set(partition, offset);
      }
    });
  }
  const { appends, events, duplicates, reads } = load.appends.counts;
  assert.ok(events > ROUNDS * 5, `the load was real: ${events} events`);
  figure('fault appends acknowledged', appends);
  figure('fault events acknowledged', events);
  figure('fault duplicates answered', duplicates);
  assert.ok(checks.vectorsCompared > ROUNDS, `vectors were compared: ${checks.vectorsCompared}`);
  figure('second copies acknowledged', checks.copiesAcknowledged);
  figure('fault vectors compared', checks.vectorsCompared);
  figure('fault reads', reads);
  figure('fault increments', load.increments.acknowledged);
});

test('a subscriber that ignores what is older ends with the views as they are', async () => {
  const newest = new Map<string, { place: readonly number[]; view: EntityView }>();
  for (const { key, value } of await consumeAll(plane, 'memory-views')) {
    const envelope = JSON.parse(value) as { data?: ViewMessage } & ViewMessage;
    const { epoch, ownerEpoch, offset, view } = envelope.data ?? envelope;
    const place = [epoch, offset, ownerEpoch];
    const known = newest.get(key);
    if (known === undefined || isAfter(place, known.place)) newest.set(key, { place, view });
  }
  const ours = [...newest.values()].filter(({ view }) => view.entity.startsWith(OURS));
  assert.ok(ours.length > 0, 'views were published');
  await forEachAtMost(READERS, ours, async ({ view }) => {
    const url = plane.materializer + entityPath(view.entity);
    const live = await persist<EntityView>(200, 'GET', url);
    assert.deepEqual(
      [view.sequence, view.attributes],
      [live.sequence, live.attributes],
      view.entity,
    );
  });
});

interface ViewMessage {
  readonly epoch: number;
  readonly ownerEpoch: number;
  readonly offset: number;
  readonly view: EntityView;
}

function isAfter(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at >= 0 && (a[at] ?? 0) > (b[at] ?? 0);
}

/** Load on; in its midst the fault; load on until all is back and goes well again. */
async function strike(fault: Fault, random: Seeded, apart?: Apart): Promise<void> {
  const gaps = await load.during(random, fault.isDisorder === true, async () => {
    await sleep(random.int(500, 2_000));
    await occur(fault, random, apart);
    await plane.restore();
    await sleep(2_000);
  });
  const cells = [gaps.append, gaps.read, gaps.count].map((ms) => Math.round(ms));
  figure(`longest pause, ${fault.name}`, cells.join(' / '), 'ms (append / read / count)');
}

async function occur(fault: Fault, random: Seeded, apart?: Apart): Promise<void> {
  if (apart) {
    await apart.cutFromKafka(CUT_MS, load.appends, random.fork(103));
  } else if (fault.isPause) {
    for (const part of fault.parts) plane.pause(part);
    await sleep(PAUSE_MS);
    for (const part of fault.parts) plane.resume(part);
  } else {
    await plane.kill(...fault.parts);
    await sleep(random.int(0, 2_000));
  }
}

/** Why this machine can not cut; false where it can. */
function noNamespaces(): string | false {
  return whyNotApart(apartNet(plane.settings.portBase, 0, plane.plans.kafka.port)) ?? false;
}
