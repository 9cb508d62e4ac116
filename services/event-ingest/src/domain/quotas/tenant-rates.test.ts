import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AUDIT_TENANT, MemplaneError } from '@memplane/contracts';
import fc from 'fast-check';
import { type TenantQuotas, TenantRates } from './tenant-rates.ts';
import { TokenBucket } from './token-bucket.ts';

test('over any time no more passes than the rate, a second at once, and one call into debt', () => {
  const seed = Date.now() % 2 ** 31;
  console.log(`# token bucket: seed ${seed}`);
  const call = fc.record({ afterMs: fc.nat(400), amount: fc.integer({ min: 1, max: 300 }) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.array(call), (rate, calls) => {
      const bucket = new TokenBucket(rate, 0);
      let nowMs = 0;
      let passed = 0;
      let largest = 0;
      for (const { afterMs, amount } of calls) {
        nowMs += afterMs;
        const waitMs = bucket.waitMs(nowMs);
        if (waitMs > 0) {
          // As soon as it says, and no sooner than the debt is paid.
          assert.equal(bucket.waitMs(nowMs + waitMs), 0);
          nowMs += waitMs;
        }
        bucket.take(amount);
        passed += amount;
        largest = Math.max(largest, amount);
        assert.ok(passed <= rate + (nowMs / 1000) * rate + largest + 1e-6);
      }
    }),
    { seed },
  );
});

class World {
  nowMs = 0;
  quotas: Record<string, TenantQuotas> = { a: { events_per_second_max: 10 }, b: {} };
  readonly rates = new TenantRates(
    (tenant) => this.quotas[tenant] ?? {},
    () => this.nowMs,
  );

  take(tenant: string, events: number, bytes = 1): MemplaneError | undefined {
    const amounts = { events_per_second_max: events, bytes_per_second_max: bytes };
    try {
      this.rates.take(tenant, amounts);
      return undefined;
    } catch (error) {
      assert.ok(error instanceof MemplaneError);
      return error;
    }
  }
}

test('what is over a limit is refused with its name, its value and what is used', () => {
  const world = new World();
  assert.equal(world.take('a', 25), undefined);
  const error = world.take('a', 1);
  assert.equal(error?.code, 'quota_exceeded');
  assert.deepEqual(error?.extra, { limit: 'events_per_second_max', value: 10, used: 25 });
  assert.equal(error?.retryAfterMs, 1_600);
  assert.equal(world.take('b', 1_000_000), undefined);
  world.nowMs = 1_500;
  assert.equal(world.take('a', 1)?.code, 'quota_exceeded');
  world.nowMs = 1_600;
  assert.equal(world.take('a', 1), undefined);
  assert.deepEqual(world.rates.stateOf('b'), [
    { limit: 'events_per_second_max', value: undefined, used: 0 },
    { limit: 'bytes_per_second_max', value: undefined, used: 0 },
  ]);
});

test('a call that one limit refuses takes nothing of the other', () => {
  const world = new World();
  world.quotas['a'] = { events_per_second_max: 10, bytes_per_second_max: 100 };
  assert.equal(world.take('a', 1, 500), undefined);
  assert.equal(world.take('a', 1, 1)?.extra['limit'], 'bytes_per_second_max');
  assert.equal(world.rates.stateOf('a')[0]?.used, 1);
});

test('a limit that is changed counts at once', () => {
  const world = new World();
  world.take('a', 25);
  world.quotas['a'] = { events_per_second_max: 1_000 };
  assert.equal(world.take('a', 1), undefined);
  world.quotas['a'] = {};
  assert.equal(world.take('a', 1_000_000), undefined);
  assert.deepEqual(world.rates.tenants, []);
});

test('the audit has no limits', () => {
  const world = new World();
  world.quotas[AUDIT_TENANT] = { events_per_second_max: 1 };
  for (let i = 0; i < 5; i++) assert.equal(world.take(AUDIT_TENANT, 100), undefined);
});
