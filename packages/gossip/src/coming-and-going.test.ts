import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figure, testSeed } from '@memplane/testkit';
import { META_BYTES_MAX } from './member.ts';
import { SimulatedCluster, statusOf } from './testing/simulated-cluster.ts';

const { seed } = testSeed('coming and going');

test('a member that leaves is known to have left, and is not accused', async () => {
  const cluster = new SimulatedCluster(seed);
  const members = cluster.grow(8);
  const leaver = members[3]!;
  const startMs = cluster.time.nowMs;
  const left = leaver.gossip.leave();
  cluster.time.runUntil(() => cluster.allSee('m03', 'left'), 60_000);
  figure('leave known to all of 8', cluster.time.nowMs - startMs, 'ms');
  cluster.time.run(2_000);
  await left;
  cluster.kill(leaver);
  cluster.time.run(60_000);
  assert.equal(cluster.count('failed'), 0);
  assert.equal(cluster.count('suspected'), 0);
  assert.equal(cluster.count('left'), 7);
  await assert.rejects(leaver.gossip.leave(), { code: 'shutting_down' });
});

test('the last member leaves at once', async () => {
  const cluster = new SimulatedCluster(seed);
  const alone = cluster.start('alone');
  assert.equal(await alone.gossip.join([alone.host.address]), 0);
  await alone.gossip.leave();
});

test('who left comes again elsewhere, with a higher incarnation and other meta', () => {
  const cluster = new SimulatedCluster(seed);
  const members = cluster.grow(5);
  void members[4]!.gossip.leave();
  cluster.time.run(3_000);
  cluster.kill(members[4]!);
  const again = cluster.start('m04', { meta: Buffer.from('second') });
  cluster.join(again, members[0]);
  cluster.time.runUntil(() => cluster.agrees(5), 120_000);
  const seen = members[1]!.gossip.members().find(({ id }) => id === 'm04');
  assert.equal(seen?.address, again.host.address);
  assert.ok(seen.incarnation > 1);
  assert.deepEqual(Buffer.from(seen.meta).toString(), 'second');
});

test('an id that lives elsewhere is refused until it is dead there', () => {
  const cluster = new SimulatedCluster(seed);
  const members = cluster.grow(5);
  const old = members[4]!;
  cluster.kill(old);
  const again = cluster.start('m04');
  cluster.join(again, members[0]);
  cluster.time.run(1_000);
  const addressSeen = () =>
    members[1]!.gossip.members().find(({ id }) => id === 'm04')?.address ?? '';
  assert.equal(addressSeen(), old.host.address);
  assert.ok(members.some(({ gossip }) => gossip.metrics.dropped.conflict > 0));
  cluster.time.runUntil(() => addressSeen() === again.host.address, 60_000);
  cluster.time.runUntil(() => cluster.agrees(5), 60_000);
});

test('a restart at the same address that nobody noticed takes over', () => {
  const cluster = new SimulatedCluster(seed);
  const members = cluster.grow(5);
  members[4]!.gossip.setMeta(Buffer.from('first'));
  cluster.time.run(5_000);
  cluster.kill(members[4]!);
  const address = members[4]!.host.address;
  const again = cluster.start('m04', { address, meta: Buffer.from('again') });
  cluster.join(again, members[0]);
  cluster.time.run(60_000);
  for (const { gossip } of cluster.live) {
    const seen = gossip.members().find(({ id }) => id === 'm04');
    assert.equal(Buffer.from(seen?.meta ?? []).toString(), 'again');
    assert.equal(seen?.incarnation, again.gossip.self.incarnation);
  }
  assert.equal(cluster.count('failed'), 0);
});

test('meta reaches all, within its bound', () => {
  const cluster = new SimulatedCluster(seed);
  const members = cluster.grow(5);
  members[2]!.gossip.setMeta(Buffer.alloc(META_BYTES_MAX, 7));
  cluster.time.run(3_000);
  assert.equal(
    cluster.count('updated', (id) => id === 'm02'),
    4,
  );
  assert.throws(() => members[2]!.gossip.setMeta(Buffer.alloc(META_BYTES_MAX + 1)), {
    code: 'invalid_request',
    field: 'meta',
  });
});

test('a forgotten member is refused ever after', async () => {
  const cluster = new SimulatedCluster(seed, { settings: { forgottenMax: 2 } });
  const members = cluster.grow(5);
  const gone = members[4]!;
  for (const { gossip } of members.slice(0, 4)) gossip.forget('m04');
  cluster.time.run(60_000);
  assert.ok(cluster.live.every((m) => m === gone || statusOf(m.gossip, 'm04') === undefined));
  cluster.kill(gone);
  const again = cluster.start('m04');
  const joined = assert.rejects(again.gossip.join([members[0]!.host.address]), {
    code: 'dependency_unavailable',
  });
  cluster.time.run(60_000);
  await joined;
  assert.equal(statusOf(members[0]!.gossip, 'm04'), undefined);
  assert.ok(members[0]!.gossip.metrics.dropped.forgotten > 0);
  const { gossip } = members[0]!;
  assert.throws(() => gossip.forget('m00'), { code: 'invalid_request' });
  gossip.forget('m04');
  gossip.forget('other');
  assert.throws(() => gossip.forget('third'), { code: 'overloaded' });
});

test('a forgotten member that runs is told so, by whom it asks over a stream', () => {
  const cluster = new SimulatedCluster(seed);
  const told: string[] = [];
  const members = cluster.grow(2);
  const gone = cluster.start('gone', { hooks: { onForgotten: (by) => told.push(by) } });
  cluster.join(gone, members[0]);
  cluster.time.runUntil(() => cluster.agrees(3), 60_000);
  assert.deepEqual(told, []);
  for (const { gossip } of members) gossip.forget('gone');
  const tookMs = cluster.time.runUntil(() => new Set(told).size === 2, 60_000);
  figure('a running member that was forgotten knows by both others', tookMs, 'ms');
  assert.deepEqual(members[0]!.gossip.members().length, 2);
});

test('ids that the caller forgot before are refused too', () => {
  const cluster = new SimulatedCluster(seed);
  const first = cluster.start('first', { forgotten: ['a'], isForgotten: (id) => id === 'b' });
  for (const id of ['a', 'b', 'c'])
    cluster
      .start(id)
      .gossip.join([first.host.address])
      .catch(() => {});
  cluster.time.run(5_000);
  assert.deepEqual(
    first.gossip.members().map(({ id }) => id),
    ['c', 'first'],
  );
});

test('the dead stay for a bounded time', () => {
  const cluster = new SimulatedCluster(seed, { settings: { deadKeptMs: 10_000 } });
  const members = cluster.grow(4);
  cluster.kill(members[3]!);
  cluster.time.runUntil(() => cluster.allSee('m03', 'dead'), 60_000);
  cluster.time.runUntil(() => cluster.allSee('m03', undefined), 20_000);
  assert.ok(members.slice(0, 3).every(({ gossip }) => gossip.metrics.reaped === 1));
});

test('a full list takes a newcomer only in the place of one that is dead', () => {
  const cluster = new SimulatedCluster(seed, { settings: { membersMax: 4 } });
  const members = cluster.grow(4);
  const fifth = cluster.start('m04');
  cluster.join(fifth, members[0]);
  cluster.time.run(5_000);
  assert.equal(statusOf(members[0]!.gossip, 'm04'), undefined);
  assert.ok(members[0]!.gossip.metrics.dropped.members_full > 0);
  cluster.kill(members[3]!);
  cluster.time.runUntil(() => statusOf(members[0]!.gossip, 'm03') === 'dead', 120_000);
  cluster.join(fifth, members[0]);
  cluster.time.runUntil(() => statusOf(members[0]!.gossip, 'm04') === 'alive', 60_000);
  assert.equal(statusOf(members[0]!.gossip, 'm03'), undefined);
});
