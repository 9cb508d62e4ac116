import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { figure, testSeed } from '@memplane/testkit';
import { othersNeeded, othersOf } from '../replica-set/replica-set.ts';
import { counterOf, elementsOf } from './quorum-values.ts';
import { SimulatedPlane } from './simulated-plane.ts';

const { seed } = testSeed('replicas');
const IDS = ['a', 'b', 'c', 'd', 'e'];
const ref = (name: string) => ({ tenant: 'default', name });

async function started(ids: readonly string[] = IDS): Promise<SimulatedPlane> {
  const plane = new SimulatedPlane(seed, ids);
  await plane.startAll();
  return plane;
}

/** Does `count` random commands at each of some replicas. */
async function load(plane: SimulatedPlane, ids: readonly string[], count: number): Promise<void> {
  const { random } = plane.net;
  for (let n = 0; n < count; n++) {
    for (const id of ids) {
      const { replica } = plane.get(id);
      const element = `e${random.int(1, 30)}`;
      const name = `${random.int(1, 20)}`;
      const kind = random.int(0, 7);
      const path = [random.pick(['f', 'g'])];
      if (kind <= 1)
        void replica.ask({ type: 'increment', name: `c${name}`, by: random.int(-3, 9) });
      else if (kind === 2)
        void replica.ask({ type: 'set-add', name: `s${name}`, elements: [element] });
      else if (kind === 3)
        void replica.ask({ type: 'set-remove', name: `s${name}`, elements: [element] });
      else if (kind === 4) void replica.ask({ type: 'register-put', name: `r${name}`, value: n });
      else if (kind === 5)
        void replica.ask({
          type: 'map-add',
          name: `m${name}`,
          place: { type: 'set', path, element },
        });
      else if (kind === 6)
        void replica.ask({
          type: 'map-remove',
          name: `m${name}`,
          place: { type: 'set', path },
        });
      else if (random.chance(0.2)) void replica.ask({ type: 'reset-any', name: `s${name}` });
    }
    await plane.net.run(random.int(0, 40));
  }
}

describe('five replicas', () => {
  it('see each update within three rounds', async () => {
    const plane = await started();
    await plane.get('a').replica.ask({ type: 'increment', name: 'c', by: 5 });
    const took = await plane.untilConverged(1_000);
    figure('an update is at all replicas after', took, 'ms');
    assert.ok(took <= 300);
    await load(plane, IDS, 100);
    assert.ok((await plane.untilConverged(2_000)) <= 500);
    assert.deepEqual(plane.failures, []);
    plane.stop();
  });

  it('go on in a cut, and have the same after it', async () => {
    const plane = await started();
    await load(plane, IDS, 20);
    plane.net.split(['a', 'b'], ['c', 'd', 'e']);
    await load(plane, IDS, 100);
    assert.equal(await plane.isConverged(), false);
    plane.net.network.healAll();
    await plane.net.until(
      () => IDS.every((id) => plane.net.get(id).cluster.live().length === 4),
      60_000,
    );
    const took = await plane.untilConverged(5_000);
    figure('after a cut all have the same, once they see each other, within', took, 'ms');
    assert.ok(took <= 500, `${took} ms`);
    plane.stop();
  });

  it('bring one up that was away, or has lost all it had', async () => {
    const plane = await started();
    await load(plane, IDS, 50);
    await plane.untilConverged(2_000);
    plane.kill('b');
    plane.kill('c');
    plane.stores.delete('c');
    await load(plane, ['a', 'd', 'e'], 50);
    await plane.start('b');
    await plane.start('c');
    await plane.untilConverged(20_000);
    const { stats } = plane.get('c').replicator;
    assert.ok(stats.comparisons >= 1);
    await load(plane, IDS, 10);
    await plane.untilConverged(2_000);
    plane.stop();
  });

  it('take over sets that are larger than a message', async () => {
    const plane = new SimulatedPlane(seed, ['a', 'b']);
    const { replica } = await plane.start('a');
    const elements = Array.from({ length: 3_000 }, (_, index) => `element ${index}`);
    await replica.ask({ type: 'set-add', name: 's', elements });
    await replica.ask({ type: 'set-remove', name: 's', elements: elements.slice(100, 200) });
    await plane.net.run(1_000);
    await plane.start('b');
    await plane.untilConverged(60_000);
    const read = await plane.get('b').replica.read('s');
    assert.equal((read as { elements: string[] }).elements.length, 2_900);
    plane.stop();
  });
});

describe('a quorum', () => {
  it('reads what a majority was written to, and brings it to a majority', async () => {
    const plane = await started();
    const a = plane.get('a');
    await a.replica.ask({ type: 'increment', name: 'c', by: 7 });
    await a.replica.ask({ type: 'set-add', name: 's', elements: ['x', 'y'] });
    const { incarnation, known } = a.replica.executor;
    const commit = { incarnation, number: known.get(incarnation) ?? 0 };
    const confirmed = a.replicator.confirmed(
      commit,
      othersOf(a.sets.shown, 'a'),
      othersNeeded(a.sets.shown, 'a'),
      new AbortController().signal,
    );
    assert.equal(await plane.settled(confirmed), true);
    plane.net.split(['a'], ['b', 'c', 'd', 'e']);
    for (const id of ['b', 'e']) {
      const { quorum } = plane.get(id);
      const counter = await plane.settled(quorum.read(ref('c')));
      assert.equal(counterOf(counter.state, ref('c')), 7);
      const set = await plane.settled(quorum.read(ref('s')));
      assert.deepEqual(elementsOf(set.state, ref('s'), { after: 'x', limit: 5 }), ['y']);
    }
    plane.stop();
  });

  it('is refused on the smaller side of a cut, for reads and for writes', async () => {
    const plane = await started();
    plane.net.split(['a', 'b'], ['c', 'd', 'e']);
    const { quorum, replica, replicator, sets } = plane.get('a');
    await assert.rejects(plane.settled(quorum.read(ref('c'))), { code: 'no_quorum' });
    await replica.ask({ type: 'increment', name: 'c', by: 1 });
    const { incarnation } = replica.executor;
    const ending = new AbortController();
    const waiting = replicator.confirmed(
      { incarnation, number: 1 },
      othersOf(sets.shown, 'a'),
      othersNeeded(sets.shown, 'a'),
      ending.signal,
    );
    await plane.net.run(1_000);
    ending.abort();
    assert.equal(await waiting, false);
    const other = await plane.settled(plane.get('c').quorum.read(ref('c')));
    assert.equal(counterOf(other.state, ref('c')), 0);
    plane.stop();
  });
});
