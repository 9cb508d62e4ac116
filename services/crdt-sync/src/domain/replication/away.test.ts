import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Alerts } from '../alerts.ts';
import { AWAY, Away } from './away.ts';

const AFTER_MS = 1_000;

/** An `Away` on a clock that is set by hand, with the alerts of a start before. */
function world(before: Alerts | undefined = undefined) {
  const store = {
    loadAlerts: async () => [],
    saveAlerts: async () => {},
    loadOthers: async () => [],
  };
  const clock = { nowMs: 50_000 };
  const now = () => clock.nowMs;
  const options = { alerts_max: 10, now, store, before: [], arePublished: false };
  const alerts = before ?? new Alerts(options);
  const away = new Away({ alerts, now, afterMs: AFTER_MS, op_ids_per_counter_max: 7 });
  const told = new Map<string, number>();
  const update = (...expected: string[]) => away.update(expected, (id) => told.get(id));
  const standing = () =>
    alerts
      .list()
      .filter(({ clearedAt }) => clearedAt === undefined)
      .map(({ code, subject, count }) => `${code} ${subject} ${count}`);
  return { alerts, away, clock, standing, told, update };
}

describe('replicas that are away', () => {
  it('are told once they told nothing for so long, once, until they tell again', () => {
    const { clock, standing, told, update } = world();
    update('b', 'c');
    clock.nowMs += AFTER_MS;
    told.set('b', clock.nowMs);
    update('b', 'c');
    assert.deepEqual(standing(), [], 'not sooner');
    clock.nowMs += 1;
    for (let i = 0; i < 3; i++) update('b', 'c');
    assert.deepEqual(standing(), [`${AWAY} c 1`]);
    told.set('c', clock.nowMs);
    update('b', 'c');
    assert.deepEqual(standing(), []);
    clock.nowMs += AFTER_MS + 1;
    update('b', 'c');
    assert.deepEqual(standing().sort(), [`${AWAY} b 1`, `${AWAY} c 2`]);
  });

  it('are no more of interest once they are forgotten', () => {
    const { away, clock, standing, update } = world();
    clock.nowMs += AFTER_MS + 1;
    update('c');
    assert.deepEqual(away.ids, ['c']);
    update();
    assert.deepEqual(standing(), []);
  });

  it('stay away over a restart, until they are heard', () => {
    const first = world();
    first.clock.nowMs += AFTER_MS + 1;
    first.update('c');
    const { standing, told, update } = world(first.alerts);
    update('c');
    assert.deepEqual(standing(), [`${AWAY} c 1`]);
    told.set('c', 50_000);
    update('c');
    assert.deepEqual(standing(), []);
  });
});
