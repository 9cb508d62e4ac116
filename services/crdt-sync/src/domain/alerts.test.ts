import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AlertPublishing } from './alert-publishing.ts';
import { Alerts, type KeptAlert } from './alerts.ts';

class Shelf {
  saved: readonly KeptAlert[] = [];
  writes = 0;
  fails = false;
  gate: Promise<void> = Promise.resolve();
  loadAlerts = async () => [...this.saved];
  loadOthers = async () => [];
  async saveAlerts(alerts: readonly KeptAlert[]): Promise<void> {
    await this.gate;
    if (this.fails) throw new Error('full');
    this.saved = alerts;
    this.writes++;
  }
}

const open = async (store: Shelf, alerts_max = 3) =>
  new Alerts({
    alerts_max,
    now: () => 0,
    store,
    before: await store.loadAlerts(),
    arePublished: true,
  });

describe('alerts', () => {
  it('counts what is raised again, and keeps no more than it may', async () => {
    const alerts = await open(new Shelf());
    for (const subject of ['a', 'b', 'a', 'c', 'd']) alerts.raise('storage_damaged', '', subject);
    assert.deepEqual(
      alerts.list().map(({ subject, count }) => [subject, count]),
      [
        ['d', 1],
        ['c', 1],
        ['a', 2],
      ],
    );
  });

  it('keeps them, their counts and their order over a restart', async () => {
    const store = new Shelf();
    const alerts = await open(store);
    for (const subject of ['a', 'b', 'a']) alerts.raise('storage_damaged', 'x', subject);
    await alerts.save();
    const again = await open(store);
    assert.deepEqual(again.list(), alerts.list());
    assert.equal(again.unsaved, false);
    again.raise('storage_damaged', 'x', 'b');
    assert.equal(again.list()[0]?.count, 2);
  });

  it('tries again what could not be saved, and shares one writing', async () => {
    const store = new Shelf();
    const alerts = await open(store);
    alerts.raise('storage_full', 'x');
    store.fails = true;
    await assert.rejects(alerts.save(), /full/);
    assert.equal(alerts.unsaved, true);
    store.fails = false;
    const { promise, resolve } = Promise.withResolvers<void>();
    store.gate = promise;
    const first = alerts.save();
    alerts.raise('storage_full', 'y', 'later');
    const others = [alerts.save(), alerts.save(), alerts.save()];
    resolve();
    await Promise.all([first, ...others]);
    assert.equal(store.writes, 2);
    assert.equal(store.saved.length, 2);
  });

  it('publishes what was raised and cleared until the topic has it, over failures and restarts', async () => {
    const store = new Shelf();
    const alerts = await open(store);
    const published: [string, string | undefined, number][] = [];
    let isDown = true;
    const sink = {
      async publish(batch: readonly KeptAlert[]) {
        if (isDown) throw new Error('no broker');
        for (const { code, clearedAt, count } of batch) published.push([code, clearedAt, count]);
      },
    };
    const publishing = new AlertPublishing(alerts, sink);
    alerts.raise('storage_full', 'x', 'storage');
    await assert.rejects(publishing.run(), /no broker/);
    // Another process finds it where it was kept.
    const again = await open(store);
    const second = new AlertPublishing(again, sink);
    isDown = false;
    await second.run();
    await second.run();
    assert.deepEqual(published, [['storage_full', undefined, 1]]);
    again.clear('storage_full', 'storage');
    again.clear('storage_full', 'storage');
    await second.run();
    assert.deepEqual(published.slice(1), [['storage_full', '1970-01-01T00:00:00.000Z', 1]]);
    again.raise('storage_full', 'x', 'storage');
    await second.run();
    assert.deepEqual(published.slice(2), [['storage_full', undefined, 2]]);
    assert.deepEqual((await open(store)).unpublished(), []);
  });

  it('publishes an alert again that changed while it was being published', async () => {
    const store = new Shelf();
    const alerts = await open(store);
    const counts: number[] = [];
    const publishing = new AlertPublishing(alerts, {
      async publish(batch) {
        counts.push(batch[0]?.count ?? 0);
        if (counts.length === 1) alerts.raise('storage_full', 'x');
      },
    });
    alerts.raise('storage_full', 'x');
    await publishing.run();
    await publishing.run();
    await publishing.run();
    assert.deepEqual(counts, [1, 2]);
  });
});
