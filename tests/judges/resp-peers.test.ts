import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { figure, MIB } from '@memplane/testkit';
import { Peer } from './resp-fuzz/peers.ts';
import { frame } from './resp-fuzz/requests.ts';
import { LIMITS, Target } from './resp-fuzz/target.ts';

/** Clients of the RESP port that are greedy, deaf, slow or rude; another one must not notice. */
let target: Target;
before(async () => {
  target = await Target.start();
});
after(async () => {
  target.check();
  figure('longest answer to another client', Math.round(target.answerMsMax), 'ms');
  figure('memory grew by at most', Math.round(target.memoryGrowthMax / MIB), 'MiB');
  await target[Symbol.asyncDispose]();
});

const PIPELINED = 100_000;
const DEAF_MS = 1_500;

describe('a pipeline', () => {
  it(`of ${PIPELINED} commands is answered whole and in order, also behind a half-close`, async () => {
    const peer = await Peer.at(target);
    const one = Buffer.concat([frame(['CRDT.INCR', 'many', '1']), frame(['ECHO', 'x'])]);
    void peer.send(Buffer.concat(Array<Buffer>(PIPELINED / 2).fill(one)));
    peer.socket.end();
    await peer.ends();
    const replies = await peer.hears(PIPELINED);
    const wrong = replies.findIndex(
      ({ text }, i) => String(text) !== (i % 2 ? 'x' : `${i / 2 + 1}`),
    );
    assert.deepEqual([replies.length, wrong], [PIPELINED, -1]);
    target.check();
  });

  it('of long answers waits for one who does not read, in little memory', async () => {
    const text = 'v'.repeat(60_000);
    const elements = Array.from({ length: 30 }, (_, i) => String(i).padStart(8_000, 'e'));
    const writer = await Peer.at(target);
    await writer.send(frame(['CRDT.SET', 'long', text]));
    for (const element of elements) await writer.send(frame(['CRDT.SADD', 'wide', element]));
    await writer.hears(1 + elements.length);
    const deaf = await Promise.all(Array.from({ length: 8 }, () => Peer.at(target)));
    const asked = Array.from({ length: 400 }, (_, i) =>
      i % 2 ? frame(['CRDT.READ', 'long']) : frame(['CRDT.SMEMBERS', 'wide']),
    );
    for (const { socket } of deaf) socket.pause();
    for (const peer of deaf) void peer.send(Buffer.concat(asked));
    await sleep(DEAF_MS);
    target.check();
    const [first, ...others] = deaf;
    for (const { socket } of others) socket.resetAndDestroy();
    first?.socket.resume();
    const replies = (await first?.hears(400)) ?? [];
    const kinds = replies.map(({ kind, text: got }) => `${kind}${got.length}`);
    assert.deepEqual(new Set(kinds), new Set(['*2', '$60000']));
    first?.socket.destroy();
    target.check();
  });
});

describe('a peer that goes on', () => {
  for (const [what, last] of [
    ['after it has broken the protocol', Buffer.from('*1\r\nx\r\n')],
    ['after QUIT', frame(['QUIT'])],
  ] as const) {
    it(`${what} is closed, and what it sends is not kept`, async () => {
      const peers = await Promise.all(Array.from({ length: 4 }, () => Peer.at(target)));
      const more = Buffer.alloc(MIB, '*1\r\n$4\r\nPING\r\n');
      const flood = async (peer: Peer) => {
        await peer.send(last);
        for (let i = 0; i < 120 && !peer.socket.destroyed; i++) await peer.send(more);
        await peer.ends();
        const [reply, ...others] = await peer.hears(1);
        assert.match(String(reply?.text), /^(OK|ERR Protocol error: )/);
        assert.equal(others.length, 0);
      };
      await Promise.all(peers.map(flood));
      target.check();
      for (const { socket } of peers) socket.destroy();
    });
  }

  it('in the middle of a command that is too long is refused before it has sent it', async () => {
    for (const start of [
      '$2000000000\r\n',
      `$${LIMITS.commandBytesMax + 1}\r\n`,
      '$99999999999\r\n',
    ]) {
      const peer = await Peer.at(target);
      await peer.send(Buffer.from(`*2\r\n$4\r\nECHO\r\n${start}`));
      const [reply] = await peer.hears(1);
      assert.match(String(reply?.text), /^ERR Protocol error: invalid bulk length/);
      await peer.ends();
      peer.socket.destroy();
    }
  });

  it('with arguments without end is refused once they are too many', async () => {
    const peer = await Peer.at(target);
    await peer.send(Buffer.from(`*1000000\r\n`));
    const more = Buffer.from('$1\r\nx\r\n'.repeat(1_000));
    for (let i = 0; i < 200 && !peer.isOver; i++) await peer.send(more);
    const [reply] = await peer.hears(1);
    assert.match(String(reply?.text), /^ERR Protocol error: too big command/);
    peer.socket.destroy();
  });
});

it('a command that trickles in costs no more than one in a piece', async () => {
  const peers = await Promise.all(Array.from({ length: 4 }, () => Peer.at(target)));
  const elements = Array.from({ length: 24_000 }, (_, i) => String(i % 10));
  const whole = frame(['NO.SUCH.COMMAND', ...elements]);
  const trickle = async (peer: Peer) => {
    for (let at = 0; at < whole.length; at += 50) {
      await peer.send(whole.subarray(at, at + 50));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await peer.hears(1);
    peer.socket.destroy();
  };
  await Promise.all(peers.map(trickle));
  target.check();
});

it('an inline command has at most 64 KiB', async () => {
  const fits = await Peer.at(target);
  await fits.send(Buffer.from(`ECHO ${'x'.repeat(65_529)}\r\n`));
  const [echoed] = await fits.hears(1);
  assert.equal(echoed?.text.length, 65_529);
  const longer = await Peer.at(target);
  await longer.send(Buffer.from(`ECHO ${'x'.repeat(65_532)}`));
  const [refused] = await longer.hears(1);
  assert.match(String(refused?.text), /too big inline request/);
  fits.socket.destroy();
  longer.socket.destroy();
});

it('hundreds that are cut off in the middle of a command leave nothing behind', async () => {
  const cutOff = async () => {
    const peer = await Peer.at(target);
    await peer.send(
      Buffer.concat([frame(['CRDT.INCR', 'cut', '1']), Buffer.from('*2\r\n$4\r\nEC')]),
    );
    peer.socket.resetAndDestroy();
  };
  for (let i = 0; i < 30; i++) await Promise.all(Array.from({ length: 20 }, cutOff));
  target.check();
});
