import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { DaprState, type SidecarConfig, waitForSidecar } from '@memplane/runtime/dapr';
import type { StrongStore } from '@memplane/runtime/strong';
import { DaprStrong } from '@memplane/runtime/strong';
import { DaprFixture } from '@memplane/stack/dapr-fixture';
import { newStrongEtcd } from '../backup.ts';
import { describeEntityKeysContract } from '../sealing/entity-keys-contract.ts';
import { Etcd } from './etcd.ts';
import { createStrong, strongKeys } from './etcd-strong.ts';
import { describeStrongContract } from './strong-contract.ts';

// etcd itself, through two real sidecars.
const stack = new DaprFixture();
const sidecars: SidecarConfig[] = [];
const SETTLE_MS = 1_500;

before(async () => {
  await stack.start();
  for (const name of ['ingest-1', 'ingest-2']) {
    const { httpPort } = await stack.sidecar('event-ingest', undefined, name);
    const sidecar = {
      url: `http://127.0.0.1:${httpPort}`,
      apiToken: stack.tokens.apiTokens['event-ingest'],
      appToken: stack.tokens.appTokens['event-ingest'],
    };
    await waitForSidecar(sidecar, 30_000);
    sidecars.push(sidecar);
  }
});
after(() => stack[Symbol.asyncDispose]());

function open(index: number, etcd?: Etcd): DaprStrong {
  return new DaprStrong({
    ...(etcd === undefined ? {} : { keys: (prefix) => strongKeys(etcd, prefix) }),
    state: new DaprState(sidecars[index] as SidecarConfig, 'strong'),
    timeoutMs: 5_000,
    settleMs: SETTLE_MS,
    monotonicMs: () => performance.now(),
    pause: (ms) => pause(ms),
  });
}

const both = async () => ({ store: open(0), another: open(1), async dispose() {} });
describeStrongContract('etcd by sidecars', both);
describeEntityKeysContract('etcd by sidecars', both);

test('records are listed by etcd, those among them that a restoration wrote there', async () => {
  const etcd = new Etcd(stack.etcdPorts.map((port) => `127.0.0.1:${port}`).join());
  const store = open(0, etcd);
  const large = { key: 'default.listed.1', value: 'ü "1"\n'.repeat(1_000) };
  assert.ok(await createStrong(etcd, large));
  assert.equal(await createStrong(etcd, { ...large, value: 'other' }), false);
  await store.create('default.listed.2', '2');
  const gone = await store.create('default.listed.3', '3');
  await store.delete('default.listed.3', gone.kind === 'written' ? gone.version : '');
  const listed = await Array.fromAsync(store.records?.('default.listed.') ?? []);
  assert.deepEqual(listed, [large, { key: 'default.listed.2', value: '2' }]);
  const all = await Array.fromAsync(store.records?.() ?? [], ({ key }) => key);
  assert.ok(all.includes(large.key) && !all.some((key) => key.includes('creations')), `${all}`);
  const { version = '' } = (await store.get(large.key)) ?? {};
  assert.equal((await store.compareAndSet(large.key, 'goes on', version)).kind, 'written');
  assert.equal(await newStrongEtcd(etcd.urls.join()), undefined, 'it is no new one');
});

test('a maker that is gone is followed by another one', async () => {
  const state = new DaprState(sidecars[0] as SidecarConfig, 'strong');
  await open(0).prepare();
  // Its entry, and nothing else.
  const key = 'default.test.abandoned';
  for (let bucket = 0; bucket < 16; bucket++) {
    const name = `default.creations.${bucket}`;
    const found = await state.get(name, { timeoutMs: 5_000 });
    const value = JSON.parse(String(found?.value)) as Record<string, unknown>;
    const text = JSON.stringify({ ...value, pending: { [key]: 'gone' } });
    const item = { key: name, value: text };
    assert.ok(await state.saveIf(item, found?.etag, { timeoutMs: 5_000 }));
  }
  const began = performance.now();
  const outcomes = await Promise.all([open(0).create(key, 'a'), open(1).create(key, 'b')]);
  assert.ok(performance.now() - began >= SETTLE_MS);
  assert.ok(outcomes.filter(({ kind }) => kind === 'written').length <= 1);
  assert.match((await open(0).get(key))?.value ?? '', /^[ab]$/);
});

test('without etcd nothing is told as read, or as surely written', async () => {
  const store: StrongStore = open(0);
  const made = await store.create('default.test.away', '1');
  assert.equal(made.kind, 'written');
  await stack.server('etcd').kill();
  await assert.rejects(store.get('default.test.away'), { code: 'no_quorum' });
  const version = made.kind === 'written' ? made.version : '';
  const outcome = await store.compareAndSet('default.test.away', '2', version);
  assert.equal(outcome.kind, 'unknown');
});
