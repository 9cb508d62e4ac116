import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Seeded, scaled, testSeed } from '@memplane/testkit';
import { KEY_BYTES, KeyRing } from './security/key-ring.ts';
import { SimulatedCluster, type SimulatedMember } from './testing/simulated-cluster.ts';

const random = testSeed('fuzz');
const PACKETS = scaled('gossip_fuzz_packets', { ci: 15_000, soak: 3_000_000 });
const DATAGRAM_BYTES_MAX = 65_507;

function mutate(packet: Uint8Array, other: Uint8Array, random: Seeded): Uint8Array {
  const bytes = Buffer.from(packet);
  const at = random.int(0, Math.max(0, bytes.length - 1));
  switch (random.int(0, 5)) {
    case 0:
      return bytes.subarray(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at), other.subarray(random.int(0, other.length))]);
    case 2:
      return Buffer.concat([bytes, Buffer.alloc(random.int(1, 40), random.int(0, 255))]);
    case 3:
      // A number of the longest form, as lengths and counts are written.
      return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(random.int(1, 9), 0xff), bytes]);
    default:
      for (let i = random.int(1, 4); i > 0; i--) {
        bytes[random.int(0, bytes.length - 1)] = random.int(0, 255);
      }
      return bytes;
  }
}

/** A valid packet's beginning, so that what follows it is read at all. */
function behindHeader(packet: Uint8Array, random: Seeded): Uint8Array {
  const tail = Uint8Array.from({ length: random.int(0, 120) }, () => random.int(0, 255));
  return Buffer.concat([packet.subarray(0, Math.min(packet.length, 40)), tail]);
}

function droppedBy(member: SimulatedMember): number {
  return Object.values(member.gossip.metrics.dropped).reduce((sum, count) => sum + count, 0);
}

for (const keyRing of [undefined, new KeyRing([new Uint8Array(KEY_BYTES)])]) {
  test(`no bytes whatever break a member ${keyRing ? 'with keys' : 'in the clear'}`, () => {
    const cluster = new SimulatedCluster(random.seed, {
      settings: { membersMax: 64, queueBroadcastsMax: 64, relaysMax: 16, replaySendersMax: 64 },
    });
    const options = keyRing === undefined ? {} : { keyRing };
    const packets: Uint8Array[] = [];
    const members = ['a', 'b', 'c', 'd'].map((id) => cluster.start(id, options));
    cluster.network.tap = (_from, _to, packet) => packets.push(packet);
    for (const member of members.slice(1)) cluster.join(member, members[0]);
    cluster.time.run(20_000);
    cluster.network.tap = undefined;
    const [target] = members;
    const { gossip, host } = target!;
    const before = { dropped: droppedBy(target!), received: gossip.metrics.packetsReceived };
    for (let i = 0; i < PACKETS; i++) {
      const packet = random.pick(packets);
      const bytes = random.chance(0.3)
        ? behindHeader(packet, random)
        : mutate(packet, random.pick(packets), random);
      host.receive('10.9.9.9:1', bytes);
      if (random.chance(0.2)) host.answer('10.9.9.9:1', bytes, () => {});
      if (i % 500 === 0) cluster.time.run(100);
    }
    for (const fill of [0, 0xff, 0xa1, 0xb1, 0x80]) {
      const large = Buffer.alloc(DATAGRAM_BYTES_MAX, fill);
      host.receive('10.9.9.9:1', large);
      host.answer('10.9.9.9:1', large, () => {});
    }
    assert.equal(gossip.metrics.dropped.internal, 0);
    assert.ok(gossip.members().length <= 64);
    assert.ok(gossip.queuedBroadcasts <= 64);
    assert.ok(droppedBy(target!) - before.dropped > 0.5 * PACKETS);
    if (keyRing === undefined) return;
    // With keys, nothing of it was believed.
    assert.equal(gossip.members().length, 4);
    cluster.time.run(60_000);
    assert.ok(cluster.agrees(4));
    assert.equal(cluster.count('failed'), 0);
  });
}
