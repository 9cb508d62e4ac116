import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testSeed } from '@memplane/testkit';
import { INCARNATION_MAX } from './member.ts';
import type { DropReason } from './metrics.ts';
import { forge } from './testing/forge.ts';
import { SimulatedCluster } from './testing/simulated-cluster.ts';
import type { Message } from './wire/message.ts';

const { seed } = testSeed('receiving');
const FROM = '10.9.9.9:1';
const ping: Message = { type: 'ping', probe: 7 };

function target(settings = {}) {
  const cluster = new SimulatedCluster(seed, { settings });
  const { gossip, host } = cluster.start('a');
  let sequence = 0;
  const receive = (messages: readonly Message[], header = {}, tail?: Uint8Array) => {
    sequence += 1;
    host.receive(FROM, forge('simulated', { sequence, ...header }, messages, tail));
  };
  return { cluster, gossip, host, receive };
}

test('each reason to let a packet go has its count', () => {
  const { gossip, host, receive } = target();
  const { dropped } = gossip.metrics;
  const counts = (reason: DropReason, act: () => void) => {
    const before = { ...dropped };
    act();
    assert.deepEqual({ ...dropped }, { ...before, [reason]: before[reason] + 1 });
  };
  counts('empty', () => host.receive(FROM, new Uint8Array()));
  counts('too_large', () => host.receive(FROM, new Uint8Array(65_536)));
  counts('malformed', () => host.receive(FROM, Uint8Array.of(1, 2, 3)));
  counts('malformed', () => receive([], {}, Uint8Array.of(1, 9, 9)));
  counts('other_cluster', () => host.receive(FROM, forge('other', { sequence: 1 }, [ping])));
  counts('version', () => receive([ping], { version: 9 }));
  counts('misdirected', () => receive([ping], { to: 'b' }));
  counts('own_id', () => receive([ping], { sender: 'a' }));
  counts('unknown_message', () => receive([], {}, Uint8Array.of(77, 0)));
  counts('late_answer', () => receive([{ type: 'ack', probe: 5 }]));
  counts('late_answer', () => receive([{ type: 'nack', probe: 5 }]));
  counts('replayed', () => receive([ping], { sequence: 2 }));
  counts('replayed', () => receive([ping], { epoch: 0 }));
  receive([ping], { sequence: 10_000 });
  counts('too_old', () => receive([ping]));
  const protocol = { min: 3, max: 4 };
  const claim = { id: 'y', address: FROM, incarnation: 1, meta: new Uint8Array(), protocol };
  counts('incompatible', () => receive([{ type: 'alive', claim }], { sequence: 10_001 }));
});

test('a packet or a request that asks much is answered once', () => {
  const { gossip, host, receive } = target();
  const sent = gossip.metrics.packetsSent;
  receive(Array.from({ length: 10_000 }, () => ping));
  assert.equal(gossip.metrics.packetsSent - sent, 1);
  assert.equal(gossip.metrics.dropped.excess, 9_999);
  const state = { type: 'state', join: true, members: [], user: new Uint8Array() } as const;
  const request = forge(
    'simulated',
    { sequence: 2 },
    Array.from({ length: 10_000 }, () => state),
  );
  let reply: Uint8Array | undefined;
  host.answer(FROM, request, (bytes) => {
    reply = bytes;
  });
  assert.ok(reply !== undefined && reply.length < 200);
  assert.equal(gossip.metrics.dropped.excess, 10_000);
});

test('probes on behalf of others are bounded', () => {
  const { cluster, gossip, receive } = target({ relaysMax: 3 });
  const request = { type: 'ping-req', probe: 1, target: 'b', address: '10.0.0.99:1' } as const;
  for (let i = 0; i < 5; i++) receive([{ ...request, nack: true }]);
  assert.equal(gossip.metrics.dropped.relays_full, 2);
  cluster.time.run(2_000);
  receive([{ ...request, nack: true }]);
  assert.equal(gossip.metrics.dropped.relays_full, 2);
});

test('news that nobody fetches are bounded', () => {
  const { gossip, receive } = target({ queueBroadcastsMax: 5 });
  for (let i = 0; i < 9; i++) {
    const protocol = { min: 1, max: 1 };
    const claim = { address: FROM, incarnation: 1, meta: new Uint8Array(), protocol };
    receive([{ type: 'alive', claim: { id: `y${i}`, ...claim } }]);
  }
  assert.equal(gossip.queuedBroadcasts, 5);
  // Its own record was the first in the queue.
  assert.equal(gossip.metrics.dropped.queue_full, 5);
});

test('an incarnation at its end is not raised beyond it', () => {
  const { gossip, receive } = target();
  const accused = { type: 'accused', claim: { status: 'dead', id: 'a', accuser: 'x' } } as const;
  receive([{ ...accused, claim: { ...accused.claim, incarnation: INCARNATION_MAX } }]);
  assert.equal(gossip.self.incarnation, INCARNATION_MAX);
});

test('of two claims about a member, the newer counts, and the graver of one incarnation', () => {
  const { gossip, receive } = target();
  const status = () => gossip.members().find(({ id }) => id === 'm')?.status;
  const alive = (incarnation: number) => {
    const protocol = { min: 1, max: 1 };
    const claim = { id: 'm', address: FROM, incarnation, meta: new Uint8Array(), protocol };
    receive([{ type: 'alive', claim }]);
    return status();
  };
  const accuse = (as: 'suspect' | 'dead' | 'left', incarnation: number) => {
    receive([{ type: 'accused', claim: { status: as, id: 'm', incarnation, accuser: 'x' } }]);
    return status();
  };
  assert.equal(accuse('dead', 1), undefined);
  assert.equal(alive(2), 'alive');
  assert.equal(accuse('suspect', 1), 'alive');
  assert.equal(accuse('suspect', 2), 'suspect');
  assert.equal(alive(2), 'suspect');
  assert.equal(alive(3), 'alive');
  assert.equal(accuse('dead', 3), 'dead');
  assert.equal(accuse('suspect', 4), 'dead');
  assert.equal(alive(3), 'dead');
  assert.equal(accuse('left', 3), 'left');
  assert.equal(accuse('dead', 3), 'left');
  assert.equal(alive(4), 'alive');
  assert.equal(accuse('left', 4), 'left');
});
