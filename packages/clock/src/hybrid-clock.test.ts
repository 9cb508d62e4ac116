import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { firstHlcOf, type Hlc, hlcCounter, hlcToMs } from './hlc.ts';
import { HybridClock } from './hybrid-clock.ts';

const T0 = 1_790_000_000_000;

/** The algorithm as the paper writes it, with `l` and `c` apart: the judge of ours. */
class PaperClock {
  l = 0;
  c = 0;
  tick(pt: number): Hlc {
    const l = Math.max(this.l, pt);
    this.c = l === this.l ? this.c + 1 : 0;
    this.l = l;
    return firstHlcOf(this.l) + BigInt(this.c);
  }
  receive(stamp: Hlc, pt: number): Hlc {
    const ml = hlcToMs(stamp);
    const mc = hlcCounter(stamp);
    const l = Math.max(this.l, ml, pt);
    if (l === this.l && l === ml) this.c = Math.max(this.c, mc) + 1;
    else if (l === this.l) this.c += 1;
    else if (l === ml) this.c = mc + 1;
    else this.c = 0;
    this.l = l;
    return firstHlcOf(this.l) + BigInt(this.c);
  }
}

const step = fc.record({
  jumpMs: fc.integer({ min: -50, max: 50 }),
  received: fc.option(
    fc.record({ offsetMs: fc.integer({ min: -60, max: 100 }), counter: fc.nat({ max: 30 }) }),
  ),
});

test('stamps equal those of the paper, rise always, and stay within the drift', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      let pt = T0;
      let highestPt = T0;
      const clock = new HybridClock({ now: () => pt, driftMaxMs: 100 });
      const paper = new PaperClock();
      let last = 0n;
      for (const { jumpMs, received } of steps) {
        pt += jumpMs;
        highestPt = Math.max(highestPt, pt);
        const remote = received && firstHlcOf(pt + received.offsetMs) + BigInt(received.counter);
        const mine = remote === null ? clock.tick() : clock.receive(remote);
        assert.equal(mine, remote === null ? paper.tick(pt) : paper.receive(remote, pt));
        assert.ok(mine > last && (remote === null || mine > remote));
        assert.ok(hlcToMs(mine) >= pt && hlcToMs(mine) <= highestPt + 100);
        last = mine;
      }
    }),
  );
});

test('a full counter carries into the milliseconds', () => {
  const clock = new HybridClock({ now: () => T0, driftMaxMs: 10 });
  let last = clock.tick();
  for (let i = 0; i < 70_000; i++) {
    const next = clock.tick();
    assert.equal(next, last + 1n);
    last = next;
  }
  assert.equal(hlcToMs(last), T0 + 1);
  assert.equal(clock.aheadMs, 1);
});

test('a stamp too far ahead is refused and changes nothing', () => {
  const clock = new HybridClock({ now: () => T0, driftMaxMs: 500 });
  const before = clock.tick();
  assert.throws(() => clock.receive(firstHlcOf(T0 + 501)), { code: 'hlc_too_far_ahead' });
  assert.equal(clock.last, before);
  assert.equal(clock.receive(firstHlcOf(T0 + 500)), firstHlcOf(T0 + 500) + 1n);
});

test('a stamp that is observed is passed, one too far ahead left out', () => {
  const clock = new HybridClock({ now: () => T0, driftMaxMs: 500 });
  assert.equal(clock.observe(firstHlcOf(T0 + 500)), true);
  assert.equal(clock.tick(), firstHlcOf(T0 + 500) + 1n);
  const { last } = clock;
  assert.equal(clock.observe(firstHlcOf(T0 + 501)), false);
  assert.equal(clock.observe(1n), true);
  assert.equal(clock.last, last);
});

test('a restart never goes back, even when the time was set back', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1_000_000, max: 1_000_000 }), (setBackMs) => {
      const first = new HybridClock({ now: () => T0, driftMaxMs: 500 });
      const floor = first.tick();
      const second = new HybridClock({ now: () => T0 + setBackMs, driftMaxMs: 500 });
      second.start(floor);
      assert.ok(second.tick() > floor);
      second.start(1n);
      assert.ok(second.tick() > floor + 1n);
      const third = new HybridClock({ now: () => T0 + setBackMs, driftMaxMs: 500, floor });
      assert.ok(third.tick() > floor);
    }),
  );
});
