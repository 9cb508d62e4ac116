import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually, figure, percentile, scaled, testSeed } from '@memplane/testkit';
import { Fleet } from './fleet.ts';
import { whyNoNamespaces } from './namespace.ts';

const UPDATES = scaled('replica_updates', { ci: 100, soak: 2_000 });
const IDS = ['a', 'b', 'c', 'd', 'e'];
const GOAL_MS = 1_000;
const LIMIT_MS = 5_000;
const POLL_MS = 5;
const PAUSE_MS_MAX = 100;
const skip = (await whyNoNamespaces()) ?? false;

describe('an update of five replicas', { skip }, () => {
  it(`is at all of them within ${GOAL_MS} ms, ${UPDATES} of them`, async () => {
    const random = testSeed('visible');
    await using fleet = await Fleet.start(IDS);
    const took: number[] = [];
    for (let number = 1; number <= UPDATES; number++) {
      const path = `/v1/counters/probe-${number}`;
      const by = fleet.at(random.pick(IDS));
      const { status, text } = await by.ask('POST', `${path}/increments`, { body: { by: 1 } });
      assert.equal(status, 200, text);
      const answeredMs = performance.now();
      const waits = fleet.all.map((replica) =>
        eventually(
          `probe ${number} is at ${replica.id}`,
          LIMIT_MS,
          async () => (await replica.get<{ value: number }>(path)).value === 1 || undefined,
          POLL_MS,
        ),
      );
      await Promise.all(waits);
      took.push(performance.now() - answeredMs);
      await sleep(random.int(0, PAUSE_MS_MAX));
    }
    const row = [0.5, 0.99, 1].map((p) => Math.round(percentile(took, p)));
    figure(
      'an answered update is at all of five replicas',
      row.join(' / '),
      'ms (p50 / p99 / max)',
    );
    assert.ok(percentile(took, 0.99) <= GOAL_MS, `${row}`);
  });
});
