import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { MasterKeys, MasterKeysError } from '../domain/sealing/master-keys.ts';
import { RocksStrong } from '../drivers/rocks-strong.ts';
import { prepareEvent } from '../testing.ts';
import { EntityKeys } from './entity-keys.ts';
import { describeEntityKeysContract } from './entity-keys-contract.ts';
import { ALL_SEALED, Sealer } from './sealer.ts';

const line = (name: string) => `${name}:${randomBytes(32).toString('base64')}`;
const CONTEXT = {
  tenant: 'default',
  defaultSource: 'test',
  now: '2026-01-01T00:00:00Z',
  traceparent: undefined,
  newId: () => 'made',
};

test('a file of master keys is read, and what is wrong named by its line', () => {
  const text = `# rotated in May\n${line('new')}\n\n${line('old')}\n`;
  assert.equal(MasterKeys.parse(text).current, 'new');
  const cases: readonly [string, RegExp][] = [
    ['', /there is no key/],
    ['secret', /^line 1 must be NAME:KEY/],
    [`${line('a')}\n${line('a')}`, /^line 2: a is there already/],
    [`a:${randomBytes(16).toString('base64')}`, /^line 1 must be/],
  ];
  for (const [wrong, words] of cases) {
    assert.throws(
      () => MasterKeys.parse(wrong),
      (error) => error instanceof MasterKeysError && words.test(error.message),
    );
  }
});

describeEntityKeysContract('RocksDB', async () => {
  const dir = await mkdtemp(path.join(tmpdir(), 'memplane-keys-'));
  const store = await RocksStrong.open(dir);
  return {
    store,
    async dispose() {
      await store.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
});

test('sealed bodies repeat equal in identity and content, and differ under another key', async (t) => {
  const dir = await mkdtemp(path.join(tmpdir(), 'memplane-sealer-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const store = await RocksStrong.open(dir);
  t.after(() => store.close());
  const master = MasterKeys.parse(line('m'));
  const keys = new EntityKeys({ store, master, keys_cached_max: 10 });
  const sealer = new Sealer(keys, ALL_SEALED);
  const seal = async () => {
    const event = { id: 'a', type: 'Said', entity: 'user/1', data: { text: 'secret' } };
    const events = [prepareEvent(event, CONTEXT, 'body')];
    const body = { events, isBatch: false, carried: [], conditions: [], madeIds: [] };
    const [sealed] = (await sealer.seal(body, 'default')).events;
    assert.ok(sealed && !sealed.value.includes('secret'));
    return sealed;
  };
  const [first, second] = [await seal(), await seal()];
  assert.deepEqual([second.idKey, second.contentKey], [first.idKey, first.contentKey]);
  assert.notDeepEqual(second.value, first.value);
  await keys.remove('default', 'user/1', (await keys.idOf('default', 'user/1')) ?? '');
  const third = await seal();
  assert.notEqual(third.idKey, first.idKey);
  assert.notEqual(third.contentKey, first.contentKey);
  const unsealed = new Sealer(undefined, ALL_SEALED);
  const event = prepareEvent({ type: 'Said', entity: 'user/1' }, CONTEXT, 'body');
  const body = { events: [event], isBatch: false, carried: [], conditions: [], madeIds: [] };
  await assert.rejects(unsealed.seal(body, 'default'), { code: 'sealing_unavailable' });
});
