import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { type Caller, LargeCalls } from './large-calls.ts';

type Handler = (from: string, bytes: Uint8Array) => Promise<Uint8Array>;

/** Replicas that reach each other at once, but for the calls that `loses` takes. */
class Wire {
  nowMs = 0;
  life = 1;
  asked = 0;
  loses: (number: number) => boolean = () => false;
  readonly #handlers = new Map<string, Map<number, Handler>>();

  replica(self: string): LargeCalls {
    const handlers = new Map<number, Handler>();
    this.#handlers.set(self, handlers);
    const caller: Caller = {
      call: async (to, method, bytes, timeoutMs) => {
        const number = this.asked++;
        const handler = this.#handlers.get(to)?.get(method);
        if (handler === undefined) throw new MemplaneError('dependency_unavailable', 'unreachable');
        const answer = await handler(self, bytes);
        if (!this.loses(number)) return answer;
        // As timers do at times.
        this.nowMs += timeoutMs - 1;
        throw new MemplaneError('dependency_unavailable', 'too late');
      },
      onCall: (method, handler) => handlers.set(method, handler),
    };
    return new LargeCalls({
      caller,
      life: () => this.life,
      now: () => this.nowMs,
      callTimeoutMs: 1_000,
      chunk_bytes_max: 10,
      answer_bytes_max: 100,
      keptMs: 5_000,
    });
  }
}

describe('large calls', () => {
  it('bring an answer in chunks, with the life that gave it, whatever is lost on the way', async () => {
    const wire = new Wire();
    const [a, b] = [wire.replica('a'), wire.replica('b')];
    b.onCall(1, async (_, question) => new Uint8Array(Buffer.from(question).readUInt8(0)).fill(7));
    wire.loses = (number) => number % 2 === 0;
    for (const length of [0, 9, 10, 11, 95]) {
      const { bytes, life } = await a.call('b', 1, Buffer.from([length]));
      assert.equal(life, 1);
      assert.deepEqual(bytes, Buffer.alloc(length, 7));
    }
  });

  it('give up in time, and at once on one that can not be reached', async () => {
    const wire = new Wire();
    const [a, b] = [wire.replica('a'), wire.replica('b')];
    b.onCall(1, async () => new Uint8Array());
    wire.loses = () => true;
    await assert.rejects(a.call('b', 1, new Uint8Array()), { code: 'dependency_unavailable' });
    assert.ok(wire.nowMs > 990 && wire.nowMs <= 1_000, `${wire.nowMs}`);
    await assert.rejects(a.call('nobody', 1, new Uint8Array()), { message: 'unreachable' });
    assert.ok(wire.nowMs > 990 && wire.nowMs <= 1_000, `${wire.nowMs}`);
  });

  it('begin a question once that is asked again, before its answer or after', async () => {
    const wire = new Wire();
    const [a, b] = [wire.replica('a'), wire.replica('b')];
    let begun = 0;
    b.onCall(1, async () => Buffer.from([++begun]));
    // Answers get lost, or come after the attempt that they answer.
    wire.loses = (number) => number < 3;
    const { bytes } = await a.call('b', 1, Buffer.from('x'));
    assert.deepEqual([bytes, begun], [Buffer.from([1]), 1]);
    const again = await a.call('b', 1, Buffer.from('x'));
    assert.deepEqual([again.bytes, begun], [Buffer.from([2]), 2]);
  });

  it('wait as long as is said for an answer that takes its time', async () => {
    const wire = new Wire();
    const [a, b] = [wire.replica('a'), wire.replica('b')];
    b.onCall(1, async () => Buffer.from('done'));
    wire.loses = () => wire.nowMs < 4_000;
    await assert.rejects(a.call('b', 1, Buffer.from('x')), { code: 'dependency_unavailable' });
    const { bytes } = await a.call('b', 1, Buffer.from('x'), 10_000);
    assert.deepEqual(bytes, Buffer.from('done'));
  });

  it('refuse what is too large, and an answer that spans two lives', async () => {
    const wire = new Wire();
    const [a, b] = [wire.replica('a'), wire.replica('b')];
    b.onCall(1, async () => new Uint8Array(101));
    b.onCall(2, async () => {
      wire.life = 2;
      return new Uint8Array();
    });
    await assert.rejects(a.call('b', 1, new Uint8Array()), { code: 'body_too_large' });
    await assert.rejects(a.call('b', 2, new Uint8Array()), { code: 'dependency_unavailable' });
  });
});
