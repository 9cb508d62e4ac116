import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { emptyCounter, increment, joinCounters } from '@memplane/crdt';
import { testSeed } from '@memplane/testkit';
import type { Report } from './reconciling.ts';
import { SimulatedPlane } from './replication/simulated-plane.ts';

const { seed } = testSeed('reconciling');
const IDS = ['a', 'b', 'c'];
const UNKNOWN = 'unknown: changed by hand or lost with a tail';
const ref = (name: string) => ({ tenant: 'default', name });

async function started(): Promise<SimulatedPlane> {
  const plane = new SimulatedPlane(seed, IDS);
  await plane.startAll();
  for (const id of IDS) {
    const { replica } = plane.get(id);
    await replica.ask({ type: 'increment', name: 'c', by: 2, opId: `op-${id}` });
    await replica.ask({ type: 'set-add', name: 's', elements: [`element-${id}`] });
    await replica.ask({ type: 'register-put', name: 'r', value: id });
  }
  await plane.untilConverged(5_000);
  await plane.net.run(2_000);
  return plane;
}

function reconcile(plane: SimulatedPlane, id: string, dryRun?: boolean): Promise<Report> {
  const signal = new AbortController().signal;
  return plane.settled(plane.get(id).reconciling.run(dryRun, signal), 60_000);
}

const standing = (plane: SimulatedPlane, id: string) =>
  (plane.alerts.get(id)?.list() ?? [])
    .filter(({ clearedAt }) => clearedAt === undefined)
    .map(({ code, subject }) => `${code} ${subject}`);

const storeOf = (plane: SimulatedPlane, id: string) => plane.stores.get(id) ?? assert.fail(id);

/** Another value under a name, of which nobody was told, as a hand or a lost tail leaves it. */
async function changeByHand(plane: SimulatedPlane, id: string, incarnation: string) {
  const before = (await storeOf(plane, id).state(ref('c'))).counter ?? emptyCounter();
  const counter = joinCounters(before, increment(emptyCounter(), incarnation, 100n, 'pn'));
  storeOf(plane, id).change(ref('c'), { counter });
}

describe('a reconciliation', () => {
  it('finds nothing where replicas have the same', async () => {
    const plane = await started();
    const report = await reconcile(plane, 'a');
    assert.deepEqual([report.dryRun, report.replicas], [false, 3]);
    assert.deepEqual(report.values, { counter: 1, set: 1, register: 1, flag: 0, map: 0 });
    assert.deepEqual(
      report.compared.map(({ replica, differences }) => [replica, differences]),
      [
        ['b', []],
        ['c', []],
      ],
    );
    plane.stop();
  });

  it('tells what differs and since when, and takes nothing over in a dry run', async () => {
    const plane = await started();
    await changeByHand(plane, 'b', 'f'.repeat(32));
    const first = await reconcile(plane, 'a', true);
    const [ofB, ofC] = first.compared;
    assert.deepEqual(ofC?.differences, []);
    const [found] = ofB?.differences ?? [];
    assert.deepEqual([found?.type, found?.tenant, found?.name], ['counter', 'default', 'c']);
    assert.equal(found?.why, UNKNOWN);
    assert.ok(found?.here !== undefined && found.there !== undefined && found.here !== found.there);
    assert.deepEqual(standing(plane, 'a'), []);
    await plane.net.run(60_000);
    const second = await reconcile(plane, 'a', true);
    assert.equal(second.compared[0]?.differences[0]?.since, found.since);
    assert.deepEqual(standing(plane, 'a'), ['divergence b']);
    plane.stop();
  });

  it('brings what differs to both, and clears its alert', async () => {
    const plane = await started();
    await changeByHand(plane, 'b', 'f'.repeat(32));
    await reconcile(plane, 'a', true);
    await reconcile(plane, 'a', true);
    assert.deepEqual(standing(plane, 'a'), ['divergence b']);
    const report = await reconcile(plane, 'a');
    assert.deepEqual(
      report.compared.map(({ left, failure }) => [left, failure]),
      [
        [0, undefined],
        [0, undefined],
      ],
    );
    assert.deepEqual(standing(plane, 'a'), []);
    assert.equal(await plane.isConverged(), true);
    const { outcome } = await plane.get('c').replica.ask({ type: 'counter-get', name: 'c' });
    assert.equal(outcome.number, 106);
    plane.stop();
  });

  it('does not take for divergence what is on its way', async () => {
    const plane = await started();
    // Calls get through, and what was committed does not.
    for (const id of IDS) plane.get(id).replicator.stop();
    await plane.get('b').replica.ask({ type: 'increment', name: 'late', by: 1 });
    for (const round of [1, 2, 3]) {
      const { compared } = await reconcile(plane, 'a', true);
      const [found] = compared[0]?.differences ?? [];
      assert.equal(found?.why, 'not yet received', `${round}`);
      assert.equal(found?.here, undefined);
    }
    assert.deepEqual(standing(plane, 'a'), []);
    plane.stop();
  });

  it('raises an alert for what differs although both have joined it', async () => {
    const plane = await started();
    const { incarnation } = plane.get('c').replica.executor;
    // One dot with two meanings: no join can tell which is right.
    const state = (await storeOf(plane, 'b').state(ref('c'))).counter ?? assert.fail();
    const entry = state.entries.get(incarnation) ?? assert.fail();
    state.entries.set(incarnation, { ...entry, net: entry.net + 1n });
    storeOf(plane, 'b').change(ref('c'), { counter: state });
    const { compared } = await reconcile(plane, 'a');
    assert.equal(compared[0]?.left, 1);
    assert.deepEqual(standing(plane, 'a'), ['divergence b']);
    plane.stop();
  });

  it('takes a damaged value from the others, and goes on under another incarnation', async () => {
    const plane = await started();
    const { replica } = plane.get('a');
    for (const [type, name] of [
      ['counter', 'c'],
      ['set', 's'],
      ['register', 'r'],
    ] as const) {
      storeOf(plane, 'a').damage(type, ref(name));
    }
    const before = replica.executor.incarnation;
    const dry = await reconcile(plane, 'a', true);
    assert.equal(dry.differences.length, 3);
    assert.deepEqual(dry.repaired, []);
    assert.equal(standing(plane, 'a').length, 3);
    const report = await reconcile(plane, 'a');
    assert.deepEqual(
      report.repaired.map(({ type, name, from }) => [type, name, from]),
      [
        ['counter', 'c', ['b', 'c']],
        ['set', 's', ['b', 'c']],
        ['register', 'r', ['b', 'c']],
      ],
    );
    assert.deepEqual(standing(plane, 'a'), []);
    assert.notEqual(replica.executor.incarnation, before);
    assert.equal(await plane.isConverged(), true);
    const again = await replica.ask({ type: 'increment', name: 'c', by: 2, opId: 'op-a' });
    assert.deepEqual([again.outcome.flag, again.outcome.number], [true, 6]);
    await replica.ask({ type: 'set-add', name: 's', elements: ['new'] });
    await plane.untilConverged(5_000);
    plane.stop();
  });

  it('leaves what nobody else has, and tells what is damaged there', async () => {
    const plane = await started();
    for (const id of IDS) plane.get(id).replicator.stop();
    await plane.get('a').replica.ask({ type: 'increment', name: 'own', by: 1 });
    storeOf(plane, 'a').damage('counter', ref('own'));
    await changeByHand(plane, 'b', 'e'.repeat(32));
    storeOf(plane, 'b').damage('counter', ref('c'));
    const report = await reconcile(plane, 'a');
    assert.deepEqual(report.repaired, []);
    const [ofB] = report.compared;
    const whys = Object.fromEntries(ofB?.differences.map(({ name, why }) => [name, why]) ?? []);
    assert.deepEqual(whys, { c: 'damaged there', own: 'damaged here' });
    assert.match(ofB?.failure ?? '', /^storage_damaged/);
    assert.deepEqual(standing(plane, 'a'), ['storage_damaged counter/own']);
    const other = await plane.get('a').replica.ask({ type: 'counter-get', name: 'c' });
    assert.equal(other.error, undefined);
    plane.stop();
  });

  it('is refused while one is under way', async () => {
    const plane = await started();
    const first = plane.get('a').reconciling.run(true, new AbortController().signal);
    await assert.rejects(reconcile(plane, 'a'), { code: 'overloaded' });
    await plane.settled(first);
    plane.stop();
  });
});
