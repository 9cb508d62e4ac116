import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INDEX, LagThrottle, VIEWS } from './lag-throttle.ts';

function refusedOf(throttle: LagThrottle, count: number): number {
  let refused = 0;
  for (let i = 0; i < count; i++) {
    try {
      throttle.check(1_000);
    } catch {
      refused++;
    }
  }
  return refused;
}

test('from half of the limit on a growing part is refused, at the limit all', () => {
  const throttle = new LagThrottle(VIEWS, 1_000);
  throttle.record(0);
  for (const [lag, refused] of [
    [500, 0],
    [600, 20],
    [750, 50],
    [900, 80],
    [1_000, 100],
    [5_000, 100],
  ] as const) {
    throttle.record(lag);
    assert.ok(Math.abs(refusedOf(throttle, 100) - refused) <= 1, `at ${lag}`);
  }
});

test('a follower that catches up from far behind stops nobody; one that stands does', () => {
  const throttle = new LagThrottle(INDEX, 1_000);
  for (let lag = 9_000; lag > 8_000; lag -= 100) {
    throttle.record(lag);
    assert.equal(refusedOf(throttle, 10), 0);
  }
  throttle.record(8_100);
  assert.throws(() => throttle.check(1_000), {
    code: 'index_behind',
    retryAfterMs: 1_000,
    extra: { limit: 'index_lag_events_max', max: 1_000, lagEvents: 8_100 },
  });
  throttle.record(8_000);
  assert.equal(throttle.part, 0.9);
});

test('a limit of 0 is none', () => {
  const throttle = new LagThrottle(VIEWS, 0);
  throttle.record(1e9);
  throttle.record(2e9);
  assert.equal(refusedOf(throttle, 10), 0);
});

test('appends settle at what the follower can apply', () => {
  const throttle = new LagThrottle(VIEWS, 1_000);
  const [offered, applied] = [90, 30];
  let lag = 0;
  let worst = 0;
  let accepted = 0;
  for (let second = 1; second <= 200; second++) {
    const got = offered - refusedOf(throttle, offered);
    if (second > 100) accepted += got;
    lag = Math.max(0, lag + got - applied);
    worst = Math.max(worst, lag);
    throttle.record(lag);
  }
  assert.ok(worst <= 1_200, `the lag grew to ${worst}`);
  assert.ok(Math.abs(accepted / 100 - applied) < 8, `${accepted / 100} a second`);
});
