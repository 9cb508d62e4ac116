import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { createLogger } from '@memplane/runtime';
import type { StrongStore } from '@memplane/runtime/strong';
import { Observations } from '../domain/strong/observations.ts';
import { RocksStrong } from '../drivers/rocks-strong.ts';
import { ZoneGate } from './zone-gate.ts';
import { ZoneKeeper } from './zone-keeper.ts';

const REGISTRATION_MS = 400;
const NONE = 'zones: []\n';
const STRONG = 'zones: [{match: "session/*", consistency: strong}]\n';
const ENTITY = 'session/1';

let dir: string;
let store: RocksStrong;
before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'memplane-zones-'));
  store = await RocksStrong.open(path.join(dir, 'strong'));
});
after(async () => {
  await store.close();
  await rm(dir, { recursive: true });
});

/** One of several instances on one store. */
function instance(name: string, file: string | undefined, its: StrongStore = store) {
  const monotonicMs = () => performance.now();
  const gate = new ZoneGate(monotonicMs);
  const keeper = new ZoneKeeper({
    store: its,
    gate,
    path: file,
    isAlone: false,
    instance: name,
    pollMs: 20,
    registrationMs: REGISTRATION_MS,
    observations: new Observations(100),
    monotonicMs,
    logger: createLogger('event-ingest', 'silent'),
  });
  return { gate, keeper };
}

/** The way to a store, which can be cut. */
function through(to: StrongStore, isCut: () => boolean): StrongStore {
  const check = async () => {
    if (isCut()) throw new MemplaneError('no_quorum', 'cut');
  };
  return {
    get: (key) => check().then(() => to.get(key)),
    create: (key, value) => check().then(() => to.create(key, value)),
    compareAndSet: (key, value, version) =>
      check().then(() => to.compareAndSet(key, value, version)),
    delete: (key, version) => check().then(() => to.delete(key, version)),
    close: async () => {},
  };
}

async function until(what: string, holds: () => boolean, deadlineMs = 5_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!holds()) {
    assert.ok(performance.now() < deadline, what);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('a change waits for what is under way in every instance, and for no one that is gone', async () => {
  const file = path.join(dir, 'zones.yaml');
  await writeFile(file, NONE);
  const one = instance('one', file);
  const two = instance('two', undefined);
  await one.keeper.start();
  await two.keeper.start();
  assert.equal(two.gate.zoneOf(ENTITY), 'eventual');

  const passage = two.gate.begin();
  await writeFile(file, STRONG);
  await until('the change is seen', () => two.gate.next !== undefined);
  assert.throws(() => one.gate.zoneOf(ENTITY), { code: 'zone_changing' });
  assert.throws(() => two.gate.zoneOf(ENTITY), { code: 'zone_changing' });
  assert.equal(two.gate.zoneOf('user/1'), 'eventual');
  await until('it is known who is waited for', () => one.keeper.waitsFor.includes('two'));
  assert.equal(one.gate.table.zoneOf(ENTITY), 'eventual');
  passage.end();
  await until('in force', () =>
    [one, two].every(({ gate }) => gate.table.zoneOf(ENTITY) === 'strong'),
  );
  assert.equal(one.gate.version, two.gate.version);

  // One that is cut off from the store appends nothing any more, before others go on without it.
  await two.keeper.stop();
  let isCut = false;
  const gone = instance(
    'gone',
    undefined,
    through(store, () => isCut),
  );
  await gone.keeper.start();
  isCut = true;
  await writeFile(file, NONE);
  const began = performance.now();
  await until('without it', () => one.gate.table.zoneOf(ENTITY) === 'eventual');
  assert.ok(performance.now() - began > REGISTRATION_MS / 2, 'it was waited for');
  assert.throws(() => gone.gate.begin(), { code: 'no_quorum' });
  await gone.keeper.stop();
  await one.keeper.stop();
});
