import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { systemTimers } from '@memplane/gossip';
import { eventually, seeded, testSeed } from '@memplane/testkit';
import { freePorts } from '@memplane/testkit/ports';
import { readCrdtSyncConfig } from './config.ts';
import type { MembersView } from './domain/cluster/members-view.ts';
import { TestStrongStore } from './domain/replica-set/test-strong-store.ts';
import { createCrdtSync } from './folder-replica.ts';
import type { CrdtSync, StrongContext } from './service.ts';

// Whole services, that share a strong store.
const OPERATOR = 'an-operator';
const IDS = ['a', 'b', 'c', 'd'];
const WAIT_MS = 60_000;
const { seed } = testSeed('replica-set-service');
const store = new TestStrongStore(seeded(seed), systemTimers);
const ports = new Map<string, readonly number[]>();
const running = new Map<string, CrdtSync>();
let dir: string;

before(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'memplane-replica-set-'));
  for (const id of IDS) ports.set(id, await freePorts(3));
  for (const id of ['a', 'b', 'c']) await start(id, { store: store.of(id) });
  await settled(1);
  await start('d', { store: store.of('d') });
});
after(async () => {
  for (const service of running.values()) {
    await service.drain();
    await service.stop();
  }
  await rm(dir, { recursive: true, force: true });
});

async function start(id: string, strong: StrongContext): Promise<void> {
  const [http, resp, gossip] = ports.get(id) ?? [];
  const config = readCrdtSyncConfig({
    MEMPLANE_LOG_LEVEL: 'silent',
    MEMPLANE_REPLICA_ID: id,
    MEMPLANE_REPLICA_SET: [...new Set(['a', 'b', 'c', id])].join(),
    MEMPLANE_CRDT_SYNC_PORT: String(http),
    MEMPLANE_RESP_PORT: String(resp),
    MEMPLANE_GOSSIP_PORT: String(gossip),
    MEMPLANE_GOSSIP_JOIN: [...ports.values()].map(([, , port]) => `127.0.0.1:${port}`).join(),
    MEMPLANE_GOSSIP_JOIN_INTERVAL_MS: '200',
    MEMPLANE_HAND_OVER_TIMEOUT_MS: '100',
    MEMPLANE_REPLICA_SET_POLL_MS: '200',
    MEMPLANE_OPERATOR_TOKEN: OPERATOR,
  });
  const service = await createCrdtSync(config, { dir: path.join(dir, id, 'crdt'), strong });
  await service.start();
  running.set(id, service);
}

async function ask<T>(
  id: string,
  method: string,
  url: string,
  { status = 200, body }: { readonly status?: number; readonly body?: object } = {},
): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${ports.get(id)?.[0]}${url}`, {
    method,
    headers: { 'content-type': 'application/json', 'memplane-operator-token': OPERATOR },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  assert.equal(response.status, status, await response.clone().text());
  return (await response.json()) as T;
}

/** Once all that run go by that version, and it is settled. */
async function settled(version: number): Promise<readonly string[]> {
  let replicas: readonly string[] = [];
  for (const id of running.keys()) {
    await eventually(`${id} at version ${version}`, WAIT_MS, async () => {
      const { replicaSet } = await ask<MembersView>(id, 'GET', '/v1/members');
      ({ replicas } = replicaSet);
      return (replicaSet.version === version && replicaSet.settled) || undefined;
    });
  }
  return replicas;
}

interface Read {
  readonly value: number;
  readonly quorum: { readonly of: number };
}

test('the set begins with the setting, and is changed while quorums go on', async () => {
  const counter = '/v1/counters/c';
  const readAt = (id: string) => ask<Read>(id, 'GET', `${counter}?read=quorum`);
  const increment = (id: string) =>
    ask(id, 'POST', `${counter}/increments?write=quorum`, { body: { by: 1 } });
  assert.deepEqual(await settled(1), ['a', 'b', 'c'], 'the first that starts proposes');
  await eventually('all see all', WAIT_MS, async () => {
    const { members } = await ask<MembersView>('a', 'GET', '/v1/members');
    return members.filter(({ state }) => state === 'alive').length === IDS.length || undefined;
  });
  await increment('a');
  await ask('b', 'PUT', '/v1/replica-set/x', { status: 404 });
  await ask('b', 'PUT', '/v1/replica-set/d');
  assert.deepEqual(await settled(2), ['a', 'b', 'c', 'd']);
  await increment('d');
  assert.deepEqual(await readAt('c').then(({ quorum, value }) => [value, quorum.of]), [2, 4]);
  const gone = running.get('a');
  running.delete('a');
  await gone?.drain();
  await gone?.stop();
  const { forgotten } = await ask<{ forgotten: string[] }>('d', 'POST', '/v1/members/a/forget', {
    body: {},
  });
  assert.deepEqual(forgotten, ['a']);
  assert.deepEqual(await settled(3), ['b', 'c', 'd']);
  await increment('b');
  assert.deepEqual(await readAt('d').then(({ quorum, value }) => [value, quorum.of]), [3, 3]);
});
