import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seeded, testSeed } from '@memplane/testkit';
import { KEY_BYTES, KeyRing } from './security/key-ring.ts';
import { SimulatedCluster, statusOf } from './testing/simulated-cluster.ts';

const { seed } = testSeed('security');
const keyOf = (fill: number) => new Uint8Array(KEY_BYTES).fill(fill);
const [first, second] = [keyOf(1), keyOf(2)];

test('keys are rotated without anyone being suspected', () => {
  const cluster = new SimulatedCluster(seed);
  const rings = Array.from({ length: 5 }, () => new KeyRing([first]));
  const members = rings.map((keyRing, i) => cluster.start(`m${i}`, { keyRing }));
  for (const member of members.slice(1)) cluster.join(member, members[0]);
  cluster.time.runUntil(() => cluster.agrees(5), 5_000);
  for (const step of ['install', 'use', 'remove'] as const) {
    for (const ring of rings) {
      if (step === 'remove') ring.remove(first);
      else ring[step](second);
      cluster.time.run(3_000);
    }
  }
  assert.equal(cluster.count('suspected'), 0);
  for (const { gossip } of members) assert.equal(gossip.metrics.dropped.unauthentic, 0);
  for (const ring of rings) assert.equal(ring.keys.length, 1);
  const late = cluster.start('late', { keyRing: new KeyRing([first]) });
  late.gossip.join([members[0]!.host.address]).catch(() => {});
  cluster.time.run(1_000);
  assert.ok(members[0]!.gossip.metrics.dropped.unauthentic > 0);
});

test('a key ring refuses what would break it', () => {
  const ring = new KeyRing([first]);
  assert.throws(() => new KeyRing([]), { code: 'invalid_request' });
  assert.throws(() => new KeyRing([new Uint8Array(16)]), { code: 'invalid_request' });
  assert.throws(() => ring.use(second), { code: 'invalid_request' });
  assert.throws(() => ring.remove(first), { code: 'invalid_request' });
  ring.install(second);
  ring.install(second);
  assert.equal(ring.keys.length, 2);
  for (let i = 3; i <= 8; i++) ring.install(keyOf(i));
  assert.throws(() => ring.install(keyOf(9)), { code: 'invalid_request' });
});

test('strangers are not heard, whichever way they differ', () => {
  const cluster = new SimulatedCluster(seed);
  const home = cluster.start('home', { keyRing: new KeyRing([first]) });
  const plain = cluster.start('plain');
  const strangers = [
    cluster.start('other-name', { cluster: 'other', keyRing: new KeyRing([first]) }),
    cluster.start('other-key', { keyRing: new KeyRing([second]) }),
    cluster.start('no-key', {}),
    cluster.start('plain-other', { cluster: 'other' }),
  ];
  for (const { gossip } of strangers) {
    gossip.join([home.host.address]).catch(() => {});
    gossip.join([plain.host.address]).catch(() => {});
  }
  cluster.time.run(5_000);
  assert.equal(home.gossip.members().length, 1);
  assert.equal(home.gossip.metrics.dropped.unauthentic, 2);
  assert.equal(home.gossip.metrics.dropped.plain_refused, 2);
  assert.equal(plain.gossip.metrics.dropped.no_key, 2);
  assert.equal(plain.gossip.metrics.dropped.other_cluster, 1);
  assert.deepEqual(
    plain.gossip.members().map(({ id }) => id),
    ['no-key', 'plain'],
  );
});

/** Runs a cluster through a death, a refutation and a leave, and records every packet. */
function recorded() {
  const cluster = new SimulatedCluster(seed);
  const keyRing = new KeyRing([first]);
  const heard: string[] = [];
  const members = Array.from({ length: 6 }, (_, i) =>
    cluster.start(`m${i}`, {
      keyRing,
      hooks: { onMessage: (payload) => heard.push(Buffer.from(payload).toString()) },
    }),
  );
  const packets: { from: string; to: string; packet: Uint8Array }[] = [];
  cluster.network.tap = (from, to, packet) => packets.push({ from, to, packet });
  for (const member of members.slice(1)) cluster.join(member, members[0]);
  cluster.time.run(5_000);
  void members[1]!.gossip.send('m0', Buffer.from('once'));
  members[3]!.host.pause();
  cluster.time.runUntil(() => statusOf(members[0]!.gossip, 'm3') === 'suspect', 30_000);
  members[3]!.host.resume();
  cluster.kill(members[4]!);
  void members[5]!.gossip.leave();
  cluster.time.run(3_000);
  cluster.kill(members[5]!);
  cluster.time.runUntil(() => cluster.allSee('m4', 'dead'), 60_000);
  cluster.time.run(10_000);
  cluster.network.tap = undefined;
  return { cluster, members, packets, heard };
}

test('packets that are sent again change nothing and are counted', () => {
  const { cluster, members, packets, heard } = recorded();
  const [target] = members;
  const toTarget = packets.filter(({ to }) => to === target!.host.address);
  const before = JSON.stringify(target!.gossip.members());
  const events = target!.events.length;
  const { dropped, packetsReceived } = target!.gossip.metrics;
  const counted = () => dropped.replayed + dropped.too_old;
  const countedBefore = counted();
  for (const { from, packet } of toTarget) target!.host.receive(from, packet);
  assert.equal(counted() - countedBefore, toTarget.length);
  assert.equal(target!.gossip.metrics.packetsReceived - packetsReceived, toTarget.length);
  assert.equal(JSON.stringify(target!.gossip.members()), before);
  assert.equal(target!.events.length, events);
  assert.deepEqual(heard, ['once']);
  const [, other] = members;
  for (const { from, packet } of toTarget) other!.host.receive(from, packet);
  const elsewhere = other!.gossip.metrics.dropped;
  assert.equal(elsewhere.misdirected + elsewhere.own_id, toTarget.length);
  cluster.time.run(1_000);
});

test('a member that has just started takes recorded packets once, and is set right', () => {
  const { cluster, members, packets } = recorded();
  const [old, peer] = members;
  cluster.kill(old!);
  const { address } = old!.host;
  const again = cluster.start('m0', { address, keyRing: new KeyRing([first]) });
  for (const { from, to, packet } of packets) if (to === address) again.host.receive(from, packet);
  cluster.join(again, peer);
  cluster.time.run(90_000);
  const seen = again.gossip.members().map(({ id, status }) => `${id} ${status}`);
  for (const id of ['m1', 'm2', 'm3']) assert.ok(seen.includes(`${id} alive`), seen.join());
  assert.equal(cluster.falseDeaths(), 0);
});

test('damage of any bit is found', () => {
  const cluster = new SimulatedCluster(seed);
  const a = cluster.start('a', { keyRing: new KeyRing([first]) });
  const b = cluster.start('b', { keyRing: new KeyRing([first]) });
  let packet: Uint8Array | undefined;
  cluster.network.tap = (_from, to, bytes) => {
    if (to === b.host.address) packet ??= bytes;
  };
  cluster.join(b, a);
  cluster.time.run(3_000);
  const { dropped } = b.gossip.metrics;
  const random = seeded(seed);
  for (let i = 0; i < 300; i++) {
    const damaged = Uint8Array.from(packet!);
    const at = random.int(1, damaged.length - 1);
    damaged[at] = (damaged[at] ?? 0) ^ (1 << random.int(0, 7));
    b.host.receive(a.host.address, damaged);
  }
  assert.equal(dropped.unauthentic, 300);
});
