import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ZONE_INSTANCES_KEY, ZONES_KEY } from '../zones/zone-record.ts';
import { decodeHead, encodeHead, headKey } from './head.ts';
import { decodeLease, encodeLease, leaseKey } from './lease.ts';
import { restoredRecord } from './restored.ts';

const GIVEN_SINCE = 1_000_000;

function restoredLease(token: number): number {
  const lease = { token, holder: 'a', ttlMs: 5_000, entities: ['session/1'], nonce: 'n' };
  const restored = restoredRecord({ key: leaseKey('default', 'plan'), value: encodeLease(lease) });
  const { holder, entities, token: next } = decodeLease(restored?.value ?? '');
  assert.deepEqual([holder, entities], [null, ['session/1']]);
  return next;
}

function restoredGuard(token: number): number {
  const leases = [{ name: 'plan', token, guards: true }];
  const intent = { nonce: 'i', events: [] };
  const recent = [{ nonce: 'i', ids: [['id', 'digest'] as const] }];
  const key = headKey({ tenant: 'default', entity: 'session/1' });
  const value = encodeHead({ sequence: 9, zones: 3, leases, intent, recent });
  const head = decodeHead(restoredRecord({ key, value })?.value ?? '');
  assert.deepEqual([head.intent, head.recent], [undefined, []]);
  assert.ok(head.zones < 0, 'it starts anew from its view under any table');
  return head.leases[0]?.token ?? 0;
}

test('whatever token was given out since the backup is stale, and the next one is not', () => {
  let [lease, guard] = [7, 7];
  for (let restorations = 0; restorations < 1_000; restorations++) {
    // The head may be exported later than its lease, after more tokens were given out.
    const before = lease + GIVEN_SINCE;
    guard = restoredGuard(guard + GIVEN_SINCE);
    lease = restoredLease(lease);
    assert.ok(guard > before && lease + 1 > guard, `${lease} ${guard} ${before}`);
    assert.ok(Number.isSafeInteger(lease));
    guard = lease;
  }
});

test('of the zones the table stays, and neither a change of it nor who runs', () => {
  const rules = [{ match: 'session/*', consistency: 'strong' }];
  const change = { version: 3, rules: [] };
  const value = JSON.stringify({ format: 1, record: { version: 2, rules, change } });
  const restored = restoredRecord({ key: ZONES_KEY, value });
  assert.deepEqual(JSON.parse(restored?.value ?? ''), { format: 1, record: { version: 2, rules } });
  assert.equal(restoredRecord({ key: ZONE_INSTANCES_KEY, value }), undefined);
  assert.equal(restoredRecord({ key: 'default.creations.3', value }), undefined);
});
