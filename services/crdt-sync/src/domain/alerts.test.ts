import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CrdtAlert } from '@memplane/contracts';
import { Alerts } from './alerts.ts';

class Shelf {
  saved: readonly CrdtAlert[] = [];
  writes = 0;
  fails = false;
  gate: Promise<void> = Promise.resolve();
  loadAlerts = async () => [...this.saved];
  async saveAlerts(alerts: readonly CrdtAlert[]): Promise<void> {
    await this.gate;
    if (this.fails) throw new Error('full');
    this.saved = alerts;
    this.writes++;
  }
}

const open = async (store: Shelf, alerts_max = 3) =>
  new Alerts({ alerts_max, now: () => 0, store, before: await store.loadAlerts() });

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
});
