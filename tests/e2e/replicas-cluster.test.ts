import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { eventually, figure } from '@memplane/testkit';
import {
  HEARTBEAT_INTERVAL_MS as INTERVAL_MS,
  OPERATOR,
  type ReplicaAlert,
  type ReplicaMember,
  ReplicaProcesses,
} from './replica-processes.ts';

const IDS = ['a', 'b', 'c'] as const;
type Id = (typeof IDS)[number];
const LIMIT_MS = 3 * INTERVAL_MS + 1_000;
/** More than a cut needs to be told. */
const QUIET_MS = 2 * LIMIT_MS;

describe('three replicas in processes of their own', () => {
  let replicas: ReplicaProcesses;

  before(async () => {
    replicas = await ReplicaProcesses.start(IDS, { strangers: ['other-key', 'other-name'] });
  });
  after(() => replicas.stop());
  afterEach(async () => {
    for (const id of IDS) {
      if (!replicas.running.has(id)) continue;
      for (const { code } of await alertsAt(id)) assert.notEqual(code, 'internal');
    }
  });

  const at = (id: string) => replicas.at(id);
  const alertsAt = (id: string) => replicas.alertsAt(id);
  const membersAt = (id: string) => replicas.membersAt(id);
  const heardBy = (id: string) => replicas.heardBy(id);
  const start = (id: string, env?: Record<string, string>) => replicas.start(id, env);
  const end = (id: Id, signal: NodeJS.Signals) => replicas.end(id, signal);

  async function until(
    id: Id,
    holds: (alert: ReplicaAlert) => boolean,
    limitMs: number,
  ): Promise<number> {
    const startMs = performance.now();
    await eventually(`alert at ${id}`, limitMs, async () => {
      return (await alertsAt(id)).some(holds) || undefined;
    });
    return performance.now() - startMs;
  }

  it('see each other, with what each says of itself', async () => {
    for (const id of IDS) {
      const { body } = await at(id).ask('GET', '/v1/members');
      assert.equal(body['quorum'], 2);
      const members = body['members'] as ReplicaMember[];
      assert.deepEqual(
        members.map(({ replica }) => replica),
        [...IDS],
      );
      for (const member of members) {
        assert.match(member.incarnation, /^[0-9a-f]{32}$/);
        assert.ok(member.viewVersion > 0 && member.replicaSet);
        assert.equal(member.heardMs === undefined, member.self);
      }
      const ready = (await at(id).readyz()).body;
      assert.deepEqual(ready['members'], { a: 'alive', b: 'alive', c: 'alive' });
      assert.equal(ready['partition'], null);
      assert.deepEqual(await alertsAt(id), []);
    }
    assert.ok(
      ![...replicas.running.values()].some(({ output }) => output.includes(replicas.key)),
      'no key is logged',
    );
  });

  it('miss one that was killed, in time, until it is back', async () => {
    await end('c', 'SIGKILL');
    const killedMs = performance.now();
    const isAboutC = ({ code, subject, clearedAt }: ReplicaAlert) =>
      code === 'partition' && subject === 'c' && clearedAt === undefined;
    await Promise.all((['a', 'b'] as const).map((id) => until(id, isAboutC, LIMIT_MS)));
    const tookMs = Math.round(performance.now() - killedMs);
    figure('a process killed, heartbeats of 200 ms: both others have an alert', tookMs, 'ms');
    assert.ok(tookMs <= LIMIT_MS, `${tookMs} ms`);
    const [alert] = await alertsAt('a');
    assert.match(alert?.detail ?? '', /^replica c is not heard: it is down or cut off;/);
    assert.deepEqual((await at('a').readyz()).body['partition'], ['c']);
    const metrics = await (await fetch(`http://127.0.0.1:${at('a').port}/metrics`)).text();
    assert.match(metrics, /^memplane_crdt_partitions(\{[^}]*\})? 1$/m);
    assert.match(metrics, /memplane_crdt_gossip_dropped_total\{[^}]*reason="unauthentic"[^}]*\} 0/);
    assert.match(metrics, /memplane_crdt_members\{[^}]*state="alive"[^}]*\} [123]$/m);
    await start('c');
    const isOver = ({ subject, clearedAt }: ReplicaAlert) =>
      subject === 'c' && clearedAt !== undefined;
    await Promise.all((['a', 'b'] as const).map((id) => until(id, isOver, 10_000)));
    for (const id of ['a', 'b']) {
      assert.deepEqual(
        (await alertsAt(id)).map(({ code, subject, count }) => [code, subject, count]),
        [['partition', 'c', 1]],
      );
    }
    assert.deepEqual(await alertsAt('c'), []);
  });

  it('miss nobody that ends in order', async () => {
    const before = await Promise.all((['a', 'b'] as const).map(alertsAt));
    await end('c', 'SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    assert.deepEqual(await Promise.all((['a', 'b'] as const).map(alertsAt)), before);
    const state = (await membersAt('a')).find(({ replica }) => replica === 'c')?.state;
    assert.equal(state, 'left');
    await start('c');
    await eventually('c is back', 20_000, async () => {
      return (await heardBy('a')).includes('c') || undefined;
    });
    assert.deepEqual(await Promise.all((['a', 'b'] as const).map(alertsAt)), before);
  });

  it('are not accused by one that stood still', async () => {
    const ofA = await alertsAt('a');
    at('a').child.kill('SIGSTOP');
    const isAboutA = ({ subject, clearedAt }: ReplicaAlert) =>
      subject === 'a' && clearedAt === undefined;
    await Promise.all((['b', 'c'] as const).map((id) => until(id, isAboutA, LIMIT_MS + 500)));
    await new Promise((resolve) => setTimeout(resolve, LIMIT_MS));
    at('a').child.kill('SIGCONT');
    const isOver = ({ subject, clearedAt }: ReplicaAlert) =>
      subject === 'a' && clearedAt !== undefined;
    await Promise.all((['b', 'c'] as const).map((id) => until(id, isOver, 10_000)));
    await new Promise((resolve) => setTimeout(resolve, LIMIT_MS));
    assert.deepEqual(await alertsAt('a'), ofA);
  });

  it('never hear of strangers', async () => {
    await Promise.all([
      start('other-key', { MEMPLANE_GOSSIP_KEYS: randomBytes(32).toString('base64') }),
      start('other-name', { MEMPLANE_CLUSTER: 'another' }),
    ]);
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
    for (const id of [...IDS, 'other-key', 'other-name']) {
      const seen = (await membersAt(id)).map(({ replica }) => replica);
      assert.deepEqual(seen, id.startsWith('other') ? [id] : [...IDS]);
    }
  });

  it('forget one when an operator says so, for good', async () => {
    const forget = (id: Id, replica: string, headers = {}) =>
      at(id).ask('POST', `/v1/members/${replica}/forget`, undefined, headers);
    assert.equal((await forget('a', 'c')).body['code'], 'forbidden');
    const wrong = { 'memplane-operator-token': 'wrong' };
    assert.equal((await forget('a', 'c', wrong)).status, 403);
    assert.equal((await forget('a', 'nobody', OPERATOR)).status, 404);
    assert.equal((await forget('a', 'a', OPERATOR)).body['code'], 'invalid_request');
    assert.deepEqual((await forget('a', 'c', OPERATOR)).body, { forgotten: ['c'] });
    assert.deepEqual((await forget('a', 'c', OPERATOR)).body, { forgotten: ['c'] });
    // It listens anew when it takes part under another id, and answers nobody in between.
    await eventually('c says that it was forgotten', 10_000, async () => {
      const alerts = (await alertsAt('c').catch(() => undefined)) ?? [];
      const says = ({ code, subject }: ReplicaAlert) =>
        code === 'replica_forgotten' && subject === 'c';
      return alerts.some(says) || undefined;
    });
    await eventually('b knows', 5_000, async () => {
      return !(await membersAt('b')).some(({ replica }) => replica === 'c') || undefined;
    });
    // Who forgot it is started anew, and the forgotten one has another id by then.
    await end('a', 'SIGTERM');
    await start('a');
    await eventually('a and b hear each other, and it', 20_000, async () => {
      const heard = await Promise.all([heardBy('a'), heardBy('b')]);
      return heard.every((ids) => /^[ab],c-[0-9a-f]{6}$/.test(ids.join())) || undefined;
    });
    for (const id of ['a', 'b'] as const) {
      assert.ok((await alertsAt(id)).every(({ subject }) => /^[ac]/.test(subject)));
      assert.ok(!(await membersAt(id)).some(({ replica }) => replica === 'c'));
      assert.ok((await alertsAt(id)).every(({ clearedAt }) => clearedAt !== undefined));
    }
  });
});
