/** What several instances agree on about erasures, each with its own keeper, gate and cached keys. */
import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { createLogger } from '@memplane/runtime';
import { eventually } from '@memplane/testkit';
import type { ErasureRecord } from '../domain/erasures/erasure-record.ts';
import type { OpenErasure } from '../domain/erasures/open-erasures.ts';
import { MasterKeys } from '../domain/sealing/master-keys.ts';
import { Observations } from '../domain/strong/observations.ts';
import { RocksStrong } from '../drivers/rocks-strong.ts';
import { EntityKeys } from '../sealing/entity-keys.ts';
import { ZoneGate } from '../strong/zone-gate.ts';
import { ZoneKeeper } from '../strong/zone-keeper.ts';
import { agreeOn } from './erasure-agreement.ts';
import { ErasureGate } from './erasure-gate.ts';
import { PagedErasures } from './erasure-list.ts';
import { ErasureRecords } from './erasure-records.ts';
import { ErasureStore } from './erasure-store.ts';
import { ErasureWatch } from './erasure-watch.ts';

const [TENANT, ENTITY] = ['default', 'user/1'];
const POLL_MS = 20;
const REGISTRATION_MS = 300;
const WAIT_MS = 10_000;
const ERASING = { code: 'erasing' };
const FOREVER = new AbortController().signal;
const master = MasterKeys.parse(`m:${randomBytes(32).toString('base64')}`);

let dir: string;
let strong: RocksStrong;
before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'memplane-erasures-'));
});
after(() => rm(dir, { recursive: true }));

/** A fresh store, closed with the test. */
async function onStore(work: () => Promise<void>): Promise<void> {
  strong = await RocksStrong.open(path.join(dir, randomUUID()));
  try {
    await work();
  } finally {
    await strong.close();
  }
}

async function instance(name: string) {
  const monotonicMs = () => performance.now();
  const [zones, gate] = [new ZoneGate(monotonicMs), new ErasureGate()];
  const keeper = new ZoneKeeper({
    ...{ store: strong, gate: zones, path: undefined, isAlone: false, instance: name },
    ...{ pollMs: POLL_MS, registrationMs: REGISTRATION_MS, monotonicMs },
    observations: new Observations(100),
    logger: createLogger('event-ingest', 'silent'),
  });
  const records = new ErasureRecords(strong);
  const store = new ErasureStore({ records, list: new PagedErasures(records), runner: name });
  const keys = new EntityKeys({ store: strong, master, keys_cached_max: 10 });
  const abandoned: OpenErasure[] = [];
  const watch = new ErasureWatch({
    ...{ open: () => store.open(), gate, keys, heads: undefined, instance: name },
    gone: (instances) => keeper.gone(instances),
    onAbandoned: async (entry) => {
      abandoned.push(entry);
    },
  });
  keeper.accompany(watch);
  await keeper.start();
  const config = { zonesPollMs: POLL_MS, zoneRegistrationMs: REGISTRATION_MS };
  return {
    zones,
    gate,
    keeper,
    store,
    keys,
    watch,
    abandoned,
    agree: agreeOn({ gate, keeper, config }),
  };
}

function begun(): ErasureRecord {
  const requestedAt = new Date(0).toISOString();
  const id = randomUUID();
  return {
    id,
    tenant: TENANT,
    entity: ENTITY,
    requestedAt,
    isDone: false,
    phase: 'appending',
    stores: [],
  };
}

const begin = (gate: ErasureGate) => gate.begin(TENANT, [{ entity: ENTITY }]);

test('an erasure waits for what others have under way, and they forget its key', () =>
  onStore(async () => {
    const [one, two] = [await instance('one'), await instance('two')];
    const { id: old } = await two.keys.keyOf(TENANT, ENTITY);
    const passage = begin(two.gate);
    const record = begun();
    assert.equal(await one.store.begin(record), true);
    assert.equal(await one.store.begin(record), true, 'again is harmless');
    let isAgreed = false;
    const agreed = one.agree(record.id, FOREVER).then(() => {
      isAgreed = true;
    });
    await eventually('the other takes nothing of the entity', WAIT_MS, async () => {
      try {
        begin(two.gate).end();
        return undefined;
      } catch {
        return true;
      }
    });
    await new Promise((resolve) => setTimeout(resolve, POLL_MS * 4));
    assert.equal(isAgreed, false, 'an append to the entity is under way');
    passage.end();
    await agreed;
    assert.throws(() => begin(two.gate), ERASING);
    two.gate.begin(TENANT, [{ entity: 'user/2' }]).end();
    await one.keys.remove(TENANT, ENTITY, old);
    assert.equal(await one.store.save({ ...record, phase: 'clearing' }), true);
    await eventually('the other takes appends again', WAIT_MS, async () => {
      try {
        begin(two.gate).end();
        return true;
      } catch {
        return undefined;
      }
    });
    assert.notEqual((await two.keys.keyOf(TENANT, ENTITY)).id, old, 'with another key');
    await Promise.all([one.keeper.stop(), two.keeper.stop()]);
  }));

test('of two instances that erase one entity, one does', () =>
  onStore(async () => {
    const [one, two] = [await instance('one'), await instance('two')];
    const records = [begun(), begun()] as const;
    const made = await Promise.all([one.store.begin(records[0]), two.store.begin(records[1])]);
    assert.deepEqual(made.toSorted(), [false, true]);
    assert.equal((await one.store.open()).length, 1);
    await Promise.all([one.keeper.stop(), two.keeper.stop()]);
  }));

test('what an instance leaves unfinished is taken over once, and only once it is gone', () =>
  onStore(async () => {
    const [one, two, three] = [
      await instance('one'),
      await instance('two'),
      await instance('three'),
    ];
    const record = begun();
    await one.store.begin(record);
    await one.agree(record.id, FOREVER);
    await new Promise((resolve) => setTimeout(resolve, REGISTRATION_MS * 2));
    assert.deepEqual(two.abandoned, [], 'it is there');
    await one.keeper.stop();
    const [entry] = await eventually('it is missed', WAIT_MS, async () =>
      two.abandoned.length > 0 && three.abandoned.length > 0 ? two.abandoned : undefined,
    );
    assert.ok(entry);
    const taken = await Promise.all([two.store.takeOver(entry), three.store.takeOver(entry)]);
    assert.equal(taken.filter((one) => one !== undefined).length, 1);
    assert.equal(await one.store.save({ ...record, phase: 'clearing' }), false);
    assert.equal(await one.store.isMine(record), false);
    assert.equal(await one.store.begin(record), false);
    await Promise.all([two.keeper.stop(), three.keeper.stop()]);
  }));

test('an instance that stood still lets nothing through that it had sealed before', () =>
  onStore(async () => {
    const { gate, zones, keys, keeper } = await instance('one');
    const { id } = await keys.keyOf(TENANT, ENTITY);
    const sealed = begin(gate);
    sealed.check();
    // Nothing at all runs in this process meanwhile, as when it is stopped; others may erase.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, REGISTRATION_MS * 1.5);
    await new EntityKeys({ store: strong, master, keys_cached_max: 1 }).remove(TENANT, ENTITY, id);
    await eventually('it is registered again', WAIT_MS, async () => zones.isValid || undefined);
    assert.throws(() => sealed.check(), ERASING);
    begin(gate).check();
    assert.notEqual((await keys.keyOf(TENANT, ENTITY)).id, id, 'what it had cached is forgotten');
    await keeper.stop();
  }));

test('erasures are listed by pages, each once and in their order', () =>
  onStore(async () => {
    const records = new ErasureRecords(strong);
    const list = new PagedErasures(records, 4);
    const ids = Array.from({ length: 10 }, (_, i) => `id-${i}`);
    for (const id of ids) await list.add(TENANT, id);
    await list.add(TENANT, 'id-9');
    assert.deepEqual(await Array.fromAsync(new PagedErasures(records, 4).ids(TENANT, '')), ids);
    assert.deepEqual(await Array.fromAsync(list.ids(TENANT, 'id-3')), ids.slice(4));
    assert.deepEqual(await Array.fromAsync(list.ids('other', '')), []);
  }));
