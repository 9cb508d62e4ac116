/** What an instance has seen of a head must not be followed once the entity is erased. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import type { StrongStore } from '@memplane/runtime/strong';
import { readProgram } from '../domain/strong/append-program.ts';
import { encodeHead, headKey, withEvents } from '../domain/strong/head.ts';
import { Observations } from '../domain/strong/observations.ts';
import { get } from '../domain/strong/program.ts';
import { RocksStrong } from '../drivers/rocks-strong.ts';
import { StrongEffects } from './strong-effects.ts';

const OF = { tenant: 'default', entity: 'ledger/1' };
const KEY = headKey(OF);

let dir: string;
let rocks: RocksStrong;
before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'memplane-effects-'));
  rocks = await RocksStrong.open(dir);
});
after(async () => {
  await rocks.close();
  await rm(dir, { recursive: true });
});

function effectsOn(store: StrongStore, appended: string[] = []): StrongEffects {
  const unused = (): never => assert.fail('not asked for');
  return new StrongEffects({
    store,
    log: { info: { logId: '0'.repeat(32), epoch: 0, partitions: 1 }, bounds: unused },
    appender: {
      async appendDecided(events, check) {
        check?.();
        appended.push(...events.map(({ id }) => id));
        return events.map((_, offset) => ({ partition: 0, offset, hlc: 0n, duplicate: false }));
      },
    },
    duplicates: { find: unused },
    views: { sequence: unused, find: unused },
    observations: new Observations(10),
    monotonicMs: () => 0,
    pause: unused,
    random: Math.random,
    viewWaitMs: 0,
  });
}

test('what was seen of an entity counts no more once it is forgotten', async () => {
  const effects = effectsOn(rocks);
  const look = async () => (await effects.run(get(KEY, true)))?.value;
  const made = await rocks.create(KEY, 'before');
  assert.equal(await look(), 'before');
  assert.equal(made.kind, 'written');
  const { version } = (await rocks.get(KEY)) ?? assert.fail();
  await rocks.compareAndSet(KEY, 'after', version);
  assert.equal(await look(), 'before', 'kept, since a write would show it');
  effects.forget(OF);
  assert.equal(await look(), 'after');
});

test('an answer that is under way as it is forgotten is not kept', async () => {
  const late = Promise.withResolvers<{ value: string; version: string }>();
  const answers = [late.promise, Promise.resolve({ value: 'after', version: '2' })];
  const store = Object.assign(Object.create(rocks) as StrongStore, { get: () => answers.shift() });
  const effects = effectsOn(store);
  const asked = effects.run(get(KEY));
  effects.forget(OF);
  late.resolve({ value: 'before', version: '1' });
  assert.equal((await asked)?.value, 'before');
  assert.equal((await effects.run(get(KEY, true)))?.value, 'after');
});

test('an intent is not finished where others may have gone on without the instance', async () => {
  const events = [{ id: 'e', digest: 'd'.repeat(43), text: '{}' }];
  const head = withEvents({ sequence: 0, zones: 1, leases: [], recent: [] }, 'n', events);
  const other = { ...OF, entity: 'ledger/2' };
  await rocks.create(headKey(other), encodeHead({ ...head, intent: { nonce: 'n', events } }));
  const appended: string[] = [];
  const effects = effectsOn(rocks, appended);
  const lapsed = () => {
    throw new MemplaneError('no_quorum', 'it stood still');
  };
  await assert.rejects(effects.run(readProgram(other, 1, lapsed)), { code: 'no_quorum' });
  assert.deepEqual(appended, []);
  await effects.run(readProgram(other, 1));
  assert.deepEqual(appended, ['e']);
});
