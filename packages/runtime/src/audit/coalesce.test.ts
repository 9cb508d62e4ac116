import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CallRecord } from './call-record.ts';
import { coalesce } from './coalesce.ts';

const call = fc.record({
  time: fc.constantFrom('2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.001Z'),
  tenant: fc.constantFrom('a', 'b'),
  subject: fc.constantFrom('token:x', 'token:y', 'unknown'),
  service: fc.constant('materializer'),
  operation: fc.constantFrom('getEntity', 'search'),
  outcome: fc.constantFrom('forbidden', 'unauthorized'),
  target: fc.integer({ min: 0, max: 300 }).map((n) => `user/${n}`),
});

const tally = (records: readonly (CallRecord & { count?: number })[]) => {
  const counts = new Map<string, number>();
  for (const { tenant, subject, operation, outcome, count = 1 } of records) {
    const key = [tenant, subject, operation, outcome].join();
    counts.set(key, (counts.get(key) ?? 0) + count);
  }
  return [...counts].sort();
};

test('whatever comes, every call is counted with its caller, operation and outcome', () => {
  const seed = Date.now() % 2 ** 31;
  console.log(`# coalesce: seed ${seed}`);
  fc.assert(
    fc.property(
      fc.array(call, { maxLength: 400 }),
      fc.integer({ min: 1, max: 50 }),
      (calls, max) => {
        const records = coalesce(calls, 'file', max);
        assert.deepEqual(tally(records), tally(calls));
        // Beyond the bound there is one for each caller, operation and outcome.
        assert.ok(records.length <= max + 24, `${records.length} records`);
        assert.equal(new Set(records.map(({ id }) => id)).size, records.length);
        assert.deepEqual(coalesce(calls, 'file', max), records);
      },
    ),
    { seed, numRuns: 200 },
  );
});
