import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FlagState } from '@memplane/crdt';
import { readFlag } from '@memplane/crdt';
import { testSeed } from '@memplane/testkit';
import { dispatch } from '../domain/dispatch.ts';
import { flagOf } from '../domain/replication/quorum-values.ts';
import { SimulatedPlane } from '../domain/replication/simulated-plane.ts';
import { voterSetOf } from '../domain/voter-set.ts';

const { seed } = testSeed('flags');
const IDS = ['a', 'b', 'c', 'd', 'e'];
const REF = { tenant: 'default', name: 'f' };
const SET = voterSetOf(IDS);

async function started(): Promise<SimulatedPlane> {
  const plane = new SimulatedPlane(seed, IDS);
  await plane.startAll();
  return plane;
}

async function vote(plane: SimulatedPlane, id: string, version = SET.version): Promise<boolean> {
  const { engine } = plane.get(id).replica;
  const { outcome } = await dispatch(engine, 'flag-vote', REF, (command) => {
    command.version = version;
  });
  return outcome.number === 1;
}

async function read(plane: SimulatedPlane, id: string, set = SET) {
  const { outcome } = await dispatch(plane.get(id).replica.engine, 'flag-get', REF);
  const { isUp, votes } = readFlag(outcome.value as FlagState, set);
  return [isUp, votes];
}

describe('a flag', () => {
  it('goes up everywhere once a majority has voted, and keeps its name free', async () => {
    const plane = await started();
    await plane.get('a').replica.ask({ type: 'increment', name: 'f', by: 1 });
    assert.equal(await vote(plane, 'a'), true);
    assert.equal(await vote(plane, 'a'), false);
    await vote(plane, 'b');
    await plane.untilConverged(2_000);
    assert.deepEqual(await read(plane, 'e'), [false, 2]);
    await vote(plane, 'e');
    await plane.untilConverged(2_000);
    for (const id of IDS) assert.deepEqual(await read(plane, id), [true, 3]);
    const { outcome } = await plane.get('c').replica.ask({ type: 'counter-get', name: 'f' });
    assert.equal(outcome.number, 1);
    plane.stop();
  });

  it('stays down on the smaller side of a cut, and up where it was seen up', async () => {
    const plane = await started();
    const { net } = plane;
    net.split(['a', 'b'], ['c', 'd', 'e']);
    for (const id of ['a', 'b']) await vote(plane, id);
    await net.run(1_000);
    assert.deepEqual(await read(plane, 'a'), [false, 2]);
    for (const id of ['c', 'd', 'e']) await vote(plane, id);
    await net.run(1_000);
    assert.deepEqual(await read(plane, 'd'), [true, 3]);
    net.network.healAll();
    await plane.untilConverged(60_000);
    assert.deepEqual(await read(plane, 'a'), [true, 5]);
    plane.stop();
  });

  it('is brought by a quorum read, and by a comparison to one that lost all it had', async () => {
    const plane = await started();
    for (const id of ['a', 'b', 'c']) await vote(plane, id);
    await plane.untilConverged(2_000);
    const answer = await plane.settled(plane.get('e').quorum.read(REF));
    assert.equal(readFlag(flagOf(answer.state, REF), SET).isUp, true);
    plane.kill('d');
    plane.stores.delete('d');
    await plane.start('d');
    await plane.untilConverged(20_000);
    assert.deepEqual(await read(plane, 'd'), [true, 3]);
    plane.stop();
  });

  it('counts the votes of one set only, which follows from its ids', async () => {
    assert.deepEqual(voterSetOf(['c', 'a', 'b', 'a']), voterSetOf(['a', 'b', 'c']));
    assert.notEqual(voterSetOf(['a', 'b']).version, voterSetOf(['ab']).version);
    const plane = await started();
    const smaller = voterSetOf(['a', 'b', 'c']);
    await vote(plane, 'a', smaller.version);
    await vote(plane, 'b', smaller.version);
    await plane.untilConverged(2_000);
    assert.deepEqual(await read(plane, 'd'), [false, 0]);
    assert.deepEqual(await read(plane, 'd', smaller), [true, 2]);
    plane.stop();
  });
});
