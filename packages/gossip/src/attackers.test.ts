import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { eventually } from '@memplane/testkit';
import { Gossip } from './gossip.ts';
import type { DropReason } from './metrics.ts';
import { parseAddress } from './node/address.ts';
import { frame } from './node/frame.ts';
import { systemRandom, systemTimers } from './node/system-ports.ts';
import { UdpTcpTransport } from './node/udp-tcp-transport.ts';
import { KEY_BYTES, KeyRing } from './security/key-ring.ts';
import { Sealer } from './security/sealer.ts';
import { ByteWriter } from './wire/bytes.ts';
import { encodeHeader } from './wire/header.ts';
import { encodeMessage } from './wire/message.ts';

/** What UDP can carry over IPv4. */
const DATAGRAM_BYTES_MAX = 65_507;
const CLUSTER = 'attacked';
const keyOf = (fill: number) => new Uint8Array(KEY_BYTES).fill(fill);
const [oldKey, newKey, otherKey] = [keyOf(1), keyOf(2), keyOf(3)];
const closing: (() => Promise<void>)[] = [];
after(() => Promise.all(closing.map((close) => close())));

/** A member on real sockets, and every packet that it sends. */
async function member(id: string) {
  const inner = await UdpTcpTransport.bind({ host: '127.0.0.1', port: 0 });
  const packets: Uint8Array[] = [];
  const keyRing = new KeyRing([oldKey]);
  const gossip = new Gossip({
    id,
    cluster: CLUSTER,
    startEpoch: 1,
    keyRing,
    settings: { probeIntervalMs: 100, probeTimeoutMs: 50, gossipIntervalMs: 20 },
    timers: systemTimers,
    random: systemRandom,
    transport: {
      address: inner.address,
      listen: (handler) => inner.listen(handler),
      exchange: (to, request, timeoutMs, done) => inner.exchange(to, request, timeoutMs, done),
      send: (to, packet) => {
        packets.push(packet);
        inner.send(to, packet);
      },
    },
  });
  gossip.start();
  closing.push(async () => {
    gossip.stop();
    await inner.close();
  });
  return { gossip, keyRing, packets, address: inner.address };
}

/** A ping as anyone could write it, sealed with a key or not at all. */
function pingOf(
  sender: string,
  key: Uint8Array | undefined,
  more: Uint8Array = new Uint8Array(),
): Uint8Array {
  const header = encodeHeader({ version: 1, sender, to: '', epoch: 9, sequence: 1 });
  const ring = key === undefined ? undefined : new KeyRing([key]);
  const body = Buffer.concat([header, encodeMessage({ type: 'ping', probe: 1 }), more]);
  return new Sealer(CLUSTER, ring, systemRandom).seal(body);
}

/** A list that says it has as many members as a number can, in a few bytes. */
function hugeList(): Uint8Array {
  const state = new ByteWriter().byte(0).number(Number.MAX_SAFE_INTEGER).done();
  return new ByteWriter().byte(8).sized(state).done();
}

function until(holds: () => boolean): Promise<boolean> {
  return eventually('it holds', 5_000, async () => holds() || undefined);
}

test('whatever a stranger sends to the port is dropped, counted and harmless', async () => {
  const [target, peer] = [await member('target'), await member('peer')];
  await peer.gossip.join([target.address]);
  await until(() => peer.packets.length > 3);
  for (const step of ['install', 'use'] as const) {
    for (const { keyRing } of [target, peer]) keyRing[step](newKey);
  }
  for (const { keyRing } of [target, peer]) keyRing.remove(oldKey);
  // What was on its way under the old key has arrived.
  await sleep(100);

  const attacker = await UdpTcpTransport.bind({ host: '127.0.0.1', port: 0 });
  closing.push(() => attacker.close());
  let answers = 0;
  attacker.listen({ packet: () => (answers += 1), request: () => undefined });
  const bomb = gzipSync(Buffer.alloc(32 * 1024 * 1024)).subarray(0, DATAGRAM_BYTES_MAX);
  const sealedBefore = peer.packets.length;
  await until(() => peer.packets.length > sealedBefore);
  const attacks = (insider: string): readonly (readonly [DropReason, Uint8Array])[] => [
    ['plain_refused', pingOf('stranger', undefined)],
    ['unauthentic', pingOf('stranger', otherKey)],
    ['unauthentic', pingOf('left-behind', oldKey)],
    ['unauthentic', peer.packets[0]!],
    ['replayed', peer.packets[sealedBefore]!],
    ['malformed', new Uint8Array(DATAGRAM_BYTES_MAX).fill(7)],
    ['unauthentic', new Uint8Array(DATAGRAM_BYTES_MAX).fill(0xa1)],
    ['malformed', bomb],
    ['malformed', pingOf(insider, newKey, hugeList())],
  ];
  const dropped = target.gossip.metrics.dropped;
  const heapBefore = process.memoryUsage().heapUsed;
  for (const [reason, packet] of attacks('insider')) {
    const before = dropped[reason];
    attacker.send(target.address, packet);
    await until(() => dropped[reason] > before);
  }
  const { host, port } = parseAddress(target.address);
  for (const [reason, packet] of attacks('another')) {
    const before = dropped[reason];
    const stream = connect(port, host).on('error', () => {});
    stream.write(frame(packet));
    await once(stream, 'close');
    assert.equal(dropped[reason], before + 1);
  }
  assert.ok(process.memoryUsage().heapUsed - heapBefore < 32 * 1024 * 1024);
  assert.equal(answers, 0);
  assert.equal(dropped.internal, 0);
  for (const { gossip } of [target, peer]) {
    const seen = gossip.members().map(({ id, status }) => `${id} ${status}`);
    assert.deepEqual(seen, ['peer alive', 'target alive']);
  }
  const probes = target.gossip.metrics.probes;
  await until(() => target.gossip.metrics.probes > probes + 2);
  assert.equal(target.gossip.metrics.suspicionsRaised, 0);
});
