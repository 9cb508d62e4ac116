import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import { figure } from '@memplane/testkit';
import type { GossipEvent } from '../events.ts';
import { Gossip } from '../gossip.ts';
import type { ExchangeOutcome } from '../ports.ts';
import { KEY_BYTES, KeyRing } from '../security/key-ring.ts';
import { formatAddress, parseAddress } from './address.ts';
import { systemRandom, systemTimers } from './system-ports.ts';
import { UdpTcpTransport } from './udp-tcp-transport.ts';

const HOST = '127.0.0.1';
const open = new Set<UdpTcpTransport>();
after(() => Promise.all([...open].map((transport) => transport.close())));

async function bind(options: Partial<Parameters<typeof UdpTcpTransport.bind>[0]> = {}) {
  const transport = await UdpTcpTransport.bind({ host: HOST, port: 0, ...options });
  open.add(transport);
  return transport;
}

function exchange(from: UdpTcpTransport, to: string, request: Uint8Array, timeoutMs = 2_000) {
  return new Promise<ExchangeOutcome>((resolve) => {
    from.exchange(to, request, timeoutMs, resolve);
  });
}

function codeOf(outcome: ExchangeOutcome): string | undefined {
  return outcome.ok ? undefined : outcome.error.code;
}

test('addresses are read and written', () => {
  assert.deepEqual(parseAddress('10.0.0.1:7946'), { host: '10.0.0.1', port: 7_946 });
  assert.deepEqual(parseAddress('[::1]:80'), { host: '::1', port: 80 });
  assert.equal(formatAddress('::1', 80), '[::1]:80');
  for (const wrong of ['', 'host', 'host:0', 'host:65536', '::1:80', 'a b:1', '[x y]:1']) {
    assert.throws(() => parseAddress(wrong), { code: 'invalid_request' });
  }
});

test('datagrams and streams share a port', async () => {
  const [a, b] = [await bind(), await bind()];
  const packet = new Promise<[string, Uint8Array]>((resolve) => {
    b.listen({
      packet: (from, bytes) => resolve([from, bytes]),
      request: (_from, bytes) => (bytes.length === 0 ? undefined : bytes.toReversed()),
    });
  });
  a.send(b.address, Buffer.from('hello'));
  const [from, bytes] = await packet;
  assert.equal(from, a.address);
  assert.equal(Buffer.from(bytes).toString(), 'hello');
  const large = systemRandom.bytes(1_000_000);
  const outcome = await exchange(a, b.address, large);
  assert.ok(outcome.ok && Buffer.compare(outcome.reply, large.toReversed()) === 0);
  assert.equal(codeOf(await exchange(a, b.address, new Uint8Array())), 'dependency_unavailable');
  a.send('nonsense', bytes);
  assert.equal(a.sendErrors, 1);
  assert.equal(codeOf(await exchange(a, 'nonsense', bytes)), 'dependency_unavailable');
  await assert.rejects(bind({ host: '0.0.0.0' }), { field: 'advertiseHost' });
  const everywhere = await bind({ host: '0.0.0.0', advertiseHost: 'here', advertisePort: 7 });
  assert.equal(everywhere.address, 'here:7');
  await assert.rejects(bind({ port: parseAddress(b.address).port }), {
    code: 'dependency_unavailable',
  });
});

test('streams are bounded in number, size and time', async () => {
  const limits = { streamsInMax: 2, streamsOutMax: 3, streamBytesMax: 1_000, streamTimeoutMs: 300 };
  const [a, b] = [await bind(limits), await bind(limits)];
  b.listen({ packet: () => {}, request: () => new Uint8Array(900) });
  assert.equal(codeOf(await exchange(a, b.address, new Uint8Array(1_001))), 'body_too_large');
  const many = await Promise.all([1, 2, 3, 4].map(() => exchange(a, b.address, Buffer.from('x'))));
  assert.equal(many.filter((outcome) => codeOf(outcome) === 'overloaded').length, 1);
  const { host, port } = parseAddress(b.address);
  const slow = connect(port, host);
  slow.write(Buffer.from([0, 0, 0, 9, 1]));
  slow.on('error', () => {});
  const startMs = performance.now();
  const closed = once(slow, 'close');
  const huge = connect(port, host);
  huge.on('error', () => {});
  huge.write(Buffer.alloc(40, 0xff));
  await once(huge, 'close');
  assert.ok(performance.now() - startMs < 250);
  await closed;
  assert.ok(performance.now() - startMs >= 250);
  assert.ok(b.streamsRefused >= 2);
});

test('a peer without an answer is an error, and closing ends what waits', async () => {
  const [a, b] = [await bind(), await bind()];
  assert.equal(codeOf(await exchange(a, b.address, new Uint8Array())), 'dependency_unavailable');
  const mute = await bind();
  const { host, port } = parseAddress(mute.address);
  const idle = connect(port, host);
  await once(idle, 'connect');
  const waiting = once(idle, 'close');
  await mute.close();
  await mute.close();
  await waiting;
  assert.equal(codeOf(await exchange(mute, a.address, new Uint8Array(1))), 'shutting_down');
  mute.send(a.address, new Uint8Array(1));
});

test('five members on real sockets: one is closed abruptly, one leaves', async () => {
  const settings = {
    probeIntervalMs: 100,
    probeTimeoutMs: 50,
    gossipIntervalMs: 20,
    suspicionMult: 3,
    pushPullIntervalMs: 1_000,
    // The tests of other packages may run beside this one.
    stallMs: 50,
  };
  const changed = new Set<() => void>();
  const members = await Promise.all(
    Array.from({ length: 5 }, async (_, i) => {
      const transport = await bind();
      const events: GossipEvent[] = [];
      const gossip = new Gossip({
        id: `m${i}`,
        cluster: 'loopback',
        startEpoch: 1,
        keyRing: new KeyRing([new Uint8Array(KEY_BYTES).fill(9)]),
        timers: systemTimers,
        random: systemRandom,
        transport,
        settings,
        hooks: {
          onEvent: (event) => {
            events.push(event);
            for (const look of changed) look();
          },
        },
      });
      gossip.start();
      return { gossip, transport, events };
    }),
  );
  const until = (holds: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!holds()) return;
        changed.delete(look);
        resolve();
      };
      changed.add(look);
      look();
    });
  const status = (gossip: Gossip, id: string) =>
    gossip.members().find((member) => member.id === id)?.status;
  const seed = members[0]!.transport.address;
  await Promise.all(members.slice(1).map(({ gossip }) => gossip.join([seed])));
  await until(() => members.every(({ gossip }) => gossip.members().length === 5));
  const startMs = performance.now();
  members[4]!.gossip.stop();
  await members[4]!.transport.close();
  const rest = members.slice(0, 4);
  await until(() => rest.every(({ gossip }) => status(gossip, 'm4') === 'dead'));
  const tookMs = Math.round(performance.now() - startMs);
  figure('real sockets, probes of 100 ms: a closed member known to be dead', tookMs, 'ms');
  await members[3]!.gossip.leave();
  await until(() => rest.slice(0, 3).every(({ gossip }) => status(gossip, 'm3') === 'left'));
  await rest[0]!.gossip.send('m1', new Uint8Array(100_000));
  for (const { gossip, transport } of members) {
    gossip.stop();
    await transport.close();
  }
});
