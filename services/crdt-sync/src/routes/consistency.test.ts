import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { testSeed } from '@memplane/testkit';
import { counterOf } from '../domain/replication/quorum-values.ts';
import { SimulatedPlane } from '../domain/replication/simulated-plane.ts';
import { decodeSessionToken } from '../domain/session-token.ts';
import type { Ask } from '../domain/test-replica.ts';
import { Consistency, type ReadQuery } from './consistency.ts';

const { seed } = testSeed('consistency');
const IDS = ['a', 'b', 'c', 'd', 'e'];
const REF = { tenant: 'default', name: 'c' };
const NEVER = new AbortController().signal;

interface CounterAnswer {
  readonly value: number;
  readonly token?: string;
  readonly quorum?: { readonly replicas: readonly string[]; readonly of: number };
}

/** Whole replicas with what their routes do, on a simulated network. */
class Callers {
  readonly plane = new SimulatedPlane(seed, IDS);

  async read(id: string, query: Partial<ReadQuery> = {}): Promise<CounterAnswer> {
    const { replica } = this.plane.get(id);
    const answer = this.#at(id).answer({ token: false, ...query }, NEVER, {
      local: async () => ({
        value: (await replica.ask({ type: 'counter-get', name: 'c' })).outcome.number,
      }),
      quorum: { ref: REF, of: (state) => ({ value: counterOf(state, REF) }) },
    });
    return (await this.plane.settled(answer)).body as CounterAnswer;
  }

  async write(id: string, ask: Ask, write: 'local' | 'quorum'): Promise<string> {
    const command = await this.plane.get(id).replica.ask(ask);
    assert.equal(command.error, undefined);
    const written = this.#at(id).written({ write, token: true }, command);
    return (await this.plane.settled(written)).token ?? assert.fail('no token');
  }

  /** Real milliseconds are not waited: what is not there now is not there. */
  readAfter(id: string, after: readonly string[], query: Partial<ReadQuery> = {}) {
    return this.read(id, { after, waitMs: 0, ...query });
  }

  #at(id: string): Consistency {
    const { quorum, replica, writes } = this.plane.get(id);
    return new Consistency({
      engine: replica.engine,
      replicaId: id,
      sets: this.plane.get(id).sets,
      wait_ms_max: 0,
      members: undefined,
      quorum,
      writes,
    });
  }
}

async function started(): Promise<Callers> {
  const callers = new Callers();
  await callers.plane.startAll();
  return callers;
}

const raise = (more: Partial<Ask> = {}): Ask => ({ type: 'increment', name: 'c', by: 1, ...more });

describe('quorums, as callers see them', () => {
  it('read what a majority was written, and say of which replicas', async () => {
    const callers = await started();
    const { net } = callers.plane;
    await callers.write('a', raise({ by: 5 }), 'quorum');
    net.split(['a'], ['b', 'c', 'd', 'e']);
    const { value, quorum } = await callers.read('d', { read: 'quorum' });
    assert.equal(value, 5);
    assert.equal(quorum?.of, 5);
    assert.ok((quorum?.replicas.length ?? 0) >= 3 && !quorum?.replicas.includes('a'));
    callers.plane.stop();
  });

  it('refuse on the smaller side in time; the write stays, and spreads', async () => {
    const callers = await started();
    const { net } = callers.plane;
    net.split(['a', 'b'], ['c', 'd', 'e']);
    for (const ask of [raise({ opId: 'op' }), raise({ opId: 'op' }), raise()]) {
      const startMs = net.time.nowMs;
      await assert.rejects(callers.write('a', ask, 'quorum'), (error: Error) => {
        const { code, extra } = error as unknown as { code: string; extra: object };
        assert.equal(code, 'no_quorum');
        assert.deepEqual(extra, { replicaSet: IDS, quorum: 3, durable: true });
        assert.match(error.message, /durable on this replica and will spread/);
        assert.match(
          error.message,
          ask.opId ? /with the same opId is safe, at any replica/ : /count it again/,
        );
        return true;
      });
      assert.ok(net.time.nowMs - startMs <= 1_050, `${net.time.nowMs - startMs} ms`);
    }
    const startMs = net.time.nowMs;
    await assert.rejects(callers.read('b', { read: 'quorum' }), { code: 'no_quorum' });
    assert.ok(net.time.nowMs - startMs <= 1_050);
    assert.equal((await callers.read('a')).value, 2);
    net.network.healAll();
    await callers.plane.untilConverged(60_000);
    assert.equal((await callers.read('e', { read: 'quorum' })).value, 2);
    callers.plane.stop();
  });

  it('have what an operation id did before, when it is repeated elsewhere', async () => {
    const callers = await started();
    const { net } = callers.plane;
    net.split(['a', 'b'], ['c', 'd', 'e']);
    await callers.write('a', raise({ by: 4, opId: 'op' }), 'local');
    await net.until(() => callers.plane.get('b').replica.executor.known.size > 1, 5_000);
    await net.run(500);
    net.network.healAll();
    net.split(['a'], ['b', 'c', 'd', 'e']);
    await net.until(() => callers.plane.net.get('b').cluster.live().length === 3, 60_000);
    await callers.write('b', raise({ by: 4, opId: 'op' }), 'quorum');
    const { value } = await callers.read('d', { read: 'quorum' });
    assert.equal(value, 4);
    const again = await callers.plane.get('d').replica.ask(raise({ by: 4, opId: 'op' }));
    assert.deepEqual([again.outcome.flag, again.outcome.number], [true, 4]);
    callers.plane.stop();
  });

  it('read sets that are larger than a message, and write back what lacks', async () => {
    const callers = await started();
    const { plane } = callers;
    plane.net.split(['a', 'b'], ['c', 'd', 'e']);
    const elements = Array.from({ length: 200 }, (_, index) => `element ${index}`);
    await plane.get('a').replica.ask({ type: 'set-add', name: 's', elements });
    plane.net.network.healAll();
    plane.net.split(['b'], ['a', 'c', 'd', 'e']);
    const ref = { tenant: 'default', name: 's' };
    const read = await plane.settled(plane.get('a').quorum.read(ref), 60_000);
    assert.equal(read.state.sets.get('default/s')?.patch.size, 200);
    const sizes = await Promise.all(
      ['a', 'c', 'd', 'e'].map(
        async (id) => (await plane.stores.get(id)?.state(ref))?.set?.elements.size,
      ),
    );
    assert.ok(sizes.filter((size) => size === 200).length >= 3, sizes.join());
    plane.stop();
  });
});

describe('session tokens', () => {
  it('of a write stand for its commit alone, of a read for all that it shows', async () => {
    const callers = await started();
    const { plane } = callers;
    const token = await callers.write('a', raise(), 'local');
    assert.equal(decodeSessionToken(token).size, 1);
    await assert.rejects(callers.readAfter('b', [token]), { code: 'not_yet_visible' });
    await plane.untilConverged(2_000);
    await plane.net.run(300);
    const other = await callers.write('c', raise(), 'local');
    const read = await callers.readAfter('b', [token], { token: true });
    assert.equal(read.value, 1);
    await plane.net.run(1_000);
    const both = await callers.readAfter('b', [token, other], { token: true });
    assert.equal(both.value, 2);
    assert.ok(decodeSessionToken(both.token ?? '').size >= 2);
    await assert.rejects(callers.readAfter('b', ['mct_x']), {
      code: 'invalid_token',
      field: 'query.after',
    });
    plane.stop();
  });

  it('of a quorum read ask for what it brought from others', async () => {
    const callers = await started();
    const { net } = callers.plane;
    net.cut(['a'], ['b', 'd', 'e']);
    net.cut(['b'], ['e']);
    await callers.write('a', raise(), 'local');
    const { known } = callers.plane.get('c').replica.executor;
    const { incarnation } = callers.plane.get('a').replica.executor;
    await net.until(() => known.get(incarnation) === 1, 5_000);
    const read = await callers.read('b', { read: 'quorum', token: true });
    assert.deepEqual([read.value, read.quorum?.replicas], [1, ['b', 'c', 'd']]);
    assert.equal(callers.plane.get('b').replica.executor.known.get(incarnation) ?? 0, 0);
    const local = await callers.read('b', { token: true });
    assert.equal(local.value, 1);
    // Else the others may pass it on while the reads below are under way.
    net.cut(['c', 'd'], ['e']);
    for (const { token } of [read, local]) {
      const answer = callers.readAfter('e', [token ?? '']);
      await assert.rejects(answer, { code: 'not_yet_visible' });
    }
    net.network.healAll();
    await net.run(2_000);
    assert.equal((await callers.readAfter('e', [local.token ?? ''])).value, 1);
    callers.plane.stop();
  });

  it('never let a session go back, whichever replicas and kinds of reads it takes', async () => {
    const callers = await started();
    const { plane } = callers;
    const { net } = plane;
    const { random } = net;
    const pick = () => IDS[random.int(0, IDS.length - 1)] ?? 'a';
    let token: string | undefined;
    let seen = 0;
    let quorumSeen = 0;
    let reads = 0;
    for (let round = 0; round < 300; round++) {
      if (round % 25 === 0) {
        net.network.healAll();
        const cut = [pick(), pick()];
        net.split(
          cut,
          IDS.filter((id) => !cut.includes(id)),
        );
      }
      for (const id of [pick(), pick()]) await plane.get(id).replica.ask(raise());
      await net.run(random.int(0, 60));
      const read = random.chance(0.4) ? 'quorum' : 'local';
      const after = token === undefined ? {} : { after: [token], waitMs: 0 };
      try {
        const answer = await callers.read(pick(), { read, token: true, ...after });
        assert.ok(answer.value >= seen, `${answer.value} after ${seen} in round ${round}`);
        if (read === 'quorum') {
          assert.ok(answer.value >= quorumSeen);
          quorumSeen = answer.value;
        }
        seen = answer.value;
        token = answer.token;
        reads++;
      } catch (error) {
        const { code } = error as { code?: string };
        assert.ok(code === 'not_yet_visible' || code === 'no_quorum', String(error));
      }
    }
    assert.ok(reads > 50, `${reads} reads`);
    plane.stop();
  });

  it('of quorum reads never go back, without tokens', async () => {
    const callers = await started();
    const { net } = callers.plane;
    const { random } = net;
    let seen = 0;
    for (let round = 0; round < 100; round++) {
      const away = IDS[random.int(0, 4)] ?? 'a';
      net.network.healAll();
      net.split(
        [away],
        IDS.filter((id) => id !== away),
      );
      const writer = IDS[random.int(0, 4)] ?? 'a';
      await callers.plane.get(writer).replica.ask(raise());
      const reader = IDS.find((id) => id !== away && random.chance(0.5)) ?? 'a';
      if (reader === away) continue;
      const { value } = await callers.read(reader, { read: 'quorum' });
      assert.ok(value >= seen, `${value} after ${seen}`);
      seen = value;
    }
    assert.ok(seen > 20, `${seen}`);
    callers.plane.stop();
  });
});
