import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { gossipSettings } from '../settings.ts';
import { VirtualTime } from '../testing/virtual-time.ts';
import { STALLS_EXCUSED_MAX, Suspicion, suspicionBounds, suspicionTimeoutMs } from './suspicion.ts';

const settings = gossipSettings();

function suspect(liveMembers: number) {
  const time = new VirtualTime();
  const timers = { now: () => time.nowMs, after: time.after.bind(time) };
  let expiredMs: number | undefined;
  const suspicion = new Suspicion({
    timers,
    bounds: suspicionBounds(settings, liveMembers),
    accuser: 'first',
    asked: false,
    stallMs: settings.stallMs,
    graceMs: settings.probeTimeoutMs,
    expired: () => {
      expiredMs = time.nowMs;
    },
  });
  return { time, suspicion, expiredMs: () => expiredMs };
}

test('bounds follow the logarithm of the members', () => {
  const bounds = (n: number) => suspicionBounds(settings, n);
  assert.deepEqual(bounds(10), { confirmationsMax: 2, minMs: 4_000, maxMs: 24_000 });
  assert.deepEqual(bounds(100), { confirmationsMax: 2, minMs: 8_000, maxMs: 48_000 });
  assert.equal(bounds(4).confirmationsMax, 2);
  // Of three members, only one is left to confirm.
  assert.deepEqual(bounds(3), { confirmationsMax: 0, minMs: 4_000, maxMs: 24_000 });
});

test('the time falls from its longest to its shortest with the confirmations', () => {
  const bounds = { confirmationsMax: 3, minMs: 2_000, maxMs: 30_000 };
  const times = [0, 1, 2, 3, 4].map((c) => Math.round(suspicionTimeoutMs(c, bounds)));
  assert.deepEqual(times, [30_000, 16_000, 7_811, 2_000, 2_000]);
  assert.equal(suspicionTimeoutMs(0, { ...bounds, confirmationsMax: 0 }), 2_000);
});

test('it stays within its bounds, and more accusers never lengthen it', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5_000 }),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 12 }),
      (members, suspicionMult, suspicionMaxTimeoutMult) => {
        const changed = gossipSettings({ suspicionMult, suspicionMaxTimeoutMult });
        const bounds = suspicionBounds(changed, members);
        let last = bounds.maxMs;
        for (let c = 0; c <= bounds.confirmationsMax; c++) {
          const ms = suspicionTimeoutMs(c, bounds);
          assert.ok(ms >= bounds.minMs && ms <= last);
          last = ms;
        }
        assert.ok(Math.abs(last - bounds.minMs) < 1e-6);
      },
    ),
  );
});

test('independent confirmations shorten one that runs; repeated ones do not', () => {
  const { time, suspicion, expiredMs } = suspect(10);
  time.run(3_000);
  assert.equal(suspicion.confirm('first'), false);
  assert.equal(suspicion.confirm('second'), true);
  assert.equal(suspicion.confirm('second'), false);
  assert.equal(suspicion.confirm('third'), true);
  assert.equal(suspicion.confirm('fourth'), false);
  assert.equal(suspicion.confirmations, 2);
  time.run(999);
  assert.equal(expiredMs(), undefined);
  time.run(1);
  assert.equal(expiredMs(), 4_000);
});

test('unconfirmed it takes its longest time; one that is cancelled never ends', () => {
  const long = suspect(10);
  long.time.run(60_000);
  assert.equal(long.expiredMs(), 24_000);
  const cancelled = suspect(10);
  cancelled.suspicion.cancel();
  cancelled.time.run(60_000);
  assert.equal(cancelled.expiredMs(), undefined);
});

test('after a stall there is time for a refutation that waits to be read', () => {
  let nowMs = 0;
  let due: { run: () => void; atMs: number } | undefined;
  let expired = false;
  const start = () =>
    new Suspicion({
      timers: {
        now: () => nowMs,
        after: (delayMs, run) => {
          due = { run, atMs: nowMs + delayMs };
          return () => {};
        },
      },
      bounds: suspicionBounds(settings, 2),
      accuser: 'first',
      asked: false,
      stallMs: 100,
      graceMs: 500,
      expired: () => {
        expired = true;
      },
    });
  start();
  const fire = (lateMs: number) => {
    nowMs = due!.atMs + lateMs;
    due!.run();
  };
  fire(101);
  assert.equal(expired, false);
  assert.equal(due!.atMs, nowMs + 500);
  fire(100);
  assert.equal(expired, true);
  expired = false;
  start();
  for (let i = 0; i < STALLS_EXCUSED_MAX; i++) fire(9_999);
  assert.equal(expired, false);
  fire(9_999);
  assert.equal(expired, true);
});
