import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AUDIT_TENANT,
  type EventPayload,
  MemplaneError,
  type STORED_LIMITS,
  type TenantUsage,
} from '@memplane/contracts';
import { StoredLimits, type StoredQuotas } from './stored-limits.ts';

const NOTED: EventPayload = { data: { attributes: 1 } };
const CHANGED: EventPayload = { attributes: { city: 'Bonn', left: null } };
const REMOVED: EventPayload = { attributes: { city: null } };
const REMEMBERED: EventPayload = { memory: { id: 'm', text: 'likes tea' } };
const FORGOTTEN: EventPayload = { memory: { id: 'm', forgotten: true } };
const AT_ALL = { eventsTotal: 10, memories: 10, stateBytes: 10 };

class World {
  quotas: Record<string, StoredQuotas> = {};
  readonly limits = new StoredLimits((tenant) => this.quotas[tenant] ?? {});

  used(usages: Record<string, TenantUsage>): void {
    this.limits.record(new Map(Object.entries(usages)));
  }

  append(tenant: string, ...payloads: EventPayload[]): MemplaneError | undefined {
    const events = payloads.map((data) => ({ value: Buffer.from(JSON.stringify({ data })) }));
    try {
      this.limits.check(tenant, events, (index) => `body[${index}]`);
      return undefined;
    } catch (error) {
      assert.ok(error instanceof MemplaneError);
      return error;
    }
  }
}

test('what would go over a limit is refused with its name, its value and what is used', () => {
  const world = new World();
  world.quotas['a'] = { memories_max: 10 };
  assert.equal(world.append('a', REMEMBERED), undefined, 'before anything is known');
  world.used({ a: { ...AT_ALL, memories: 9 }, b: AT_ALL });
  assert.equal(world.append('a', REMEMBERED, REMEMBERED), undefined, 'while anything is left');
  world.used({ a: { ...AT_ALL, memories: 12 }, b: AT_ALL });
  const error = world.append('a', NOTED, REMEMBERED);
  assert.deepEqual([error?.code, error?.status], ['stored_quota_exceeded', 403]);
  assert.equal(error?.field, 'body[1]');
  assert.deepEqual(error?.extra, { limit: 'memories_max', value: 10, used: 12 });
  assert.equal(world.append('b', REMEMBERED), undefined);
  world.quotas['a'] = { memories_max: 13 };
  assert.equal(world.append('a', REMEMBERED), undefined, 'a changed limit counts at once');
});

test('what surely makes the state no larger passes', () => {
  const world = new World();
  world.used({ a: AT_ALL, [AUDIT_TENANT]: AT_ALL });
  const all = [NOTED, CHANGED, REMOVED, REMEMBERED, FORGOTTEN];
  assert.deepEqual(world.limits.tenants, ['a']);
  const refused = (limit: (typeof STORED_LIMITS)[number]) => {
    world.quotas = { a: { [limit]: 10 }, [AUDIT_TENANT]: { [limit]: 10 } };
    for (const one of all) assert.equal(world.append(AUDIT_TENANT, one), undefined);
    return all.filter((one) => world.append('a', one) !== undefined);
  };
  assert.deepEqual(refused('events_total_max'), all);
  assert.deepEqual(refused('memories_max'), [REMEMBERED]);
  assert.deepEqual(refused('state_bytes_max'), [CHANGED, REMEMBERED]);
});

test('all limits are told, those too that are not set', () => {
  const world = new World();
  world.quotas['a'] = { state_bytes_max: 5 };
  world.used({ a: AT_ALL });
  assert.deepEqual(world.limits.stateOf('a'), [
    { limit: 'events_total_max', value: undefined, used: 10 },
    { limit: 'memories_max', value: undefined, used: 10 },
    { limit: 'state_bytes_max', value: 5, used: 10 },
  ]);
  assert.deepEqual(
    world.limits.stateOf('b').map(({ used }) => used),
    [0, 0, 0],
  );
});
