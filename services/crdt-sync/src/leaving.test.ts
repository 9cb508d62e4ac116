import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeReplicaDelta } from '@memplane/crdt';
import { eventually } from '@memplane/testkit';
import { freePorts } from '@memplane/testkit/ports';
import { readCrdtSyncConfig } from './config.ts';
import { createCrdtSync } from './folder-replica.ts';
import { openFolder } from './leaving.ts';
import type { CrdtSync } from './service.ts';

const OPERATOR = 'an-operator';
const NOWHERE = '127.0.0.1:1';
const WAIT_MS = 60_000;

interface Member {
  readonly replica: string;
  readonly self: boolean;
  readonly heardMs?: number;
}

describe('a replica in a folder that the others have forgotten', () => {
  const running = new Map<string, CrdtSync>();
  const ports = new Map<string, readonly number[]>();
  let dir: string;
  let id = 'c';

  before(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'memplane-leaving-'));
    for (const each of ['a', 'c']) ports.set(each, await freePorts(3));
    await start('a');
    await start('c');
  });
  after(async () => {
    for (const each of running.keys()) await end(each);
    await rm(dir, { recursive: true, force: true });
  });

  async function start(each: string, env: Record<string, string> = {}): Promise<void> {
    const [http, resp, gossip] = ports.get(each) ?? [];
    const all = [...ports.values()].map(([, , port]) => `127.0.0.1:${port}`);
    const config = readCrdtSyncConfig({
      MEMPLANE_LOG_LEVEL: 'silent',
      MEMPLANE_REPLICA_ID: each,
      MEMPLANE_REPLICA_SET: 'a,c',
      MEMPLANE_CRDT_SYNC_PORT: String(http),
      MEMPLANE_RESP_PORT: String(resp),
      MEMPLANE_GOSSIP_PORT: String(gossip),
      MEMPLANE_GOSSIP_JOIN: all.join(),
      MEMPLANE_GOSSIP_JOIN_INTERVAL_MS: '200',
      MEMPLANE_HAND_OVER_TIMEOUT_MS: '100',
      MEMPLANE_OPERATOR_TOKEN: OPERATOR,
      ...env,
    });
    const service = await createCrdtSync(config, { dir: path.join(dir, each, 'crdt') });
    await service.start();
    running.set(each, service);
  }

  async function end(each: string): Promise<void> {
    const service = running.get(each);
    running.delete(each);
    await service?.drain();
    await service?.stop();
  }

  async function ask<T>(each: string, method: string, url: string, body?: unknown): Promise<T> {
    const response = await fetch(`http://127.0.0.1:${ports.get(each)?.[0]}${url}`, {
      method,
      headers: { 'content-type': 'application/json', 'memplane-operator-token': OPERATOR },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    assert.ok(response.ok, await response.clone().text());
    return (await response.json()) as T;
  }

  const value = async (each: string, counter: string) =>
    (await ask<{ value: number }>(each, 'GET', `/v1/counters/${counter}`)).value;
  const count = (each: string, counter: string) =>
    ask(each, 'POST', `/v1/counters/${counter}/increments`, { by: 1 });
  const members = async (each: string) =>
    (await ask<{ members: Member[] }>(each, 'GET', '/v1/members')).members;
  const ownId = async () => (await members('c')).find(({ self }) => self)?.replica ?? '';
  const exported = async () =>
    (await readdir(path.join(dir, 'c'))).filter((name) => name.endsWith('.ndjson'));

  const isAtBoth = (counter: string, wanted: number) =>
    eventually(`${counter} is ${wanted} at both`, WAIT_MS, async () => {
      const values = await Promise.all([value('a', counter), value('c', counter)]);
      return values.every((one) => one === wanted) || undefined;
    });
  /** While it begins anew, nobody answers. */
  const hasNewId = (before: string) =>
    eventually('c has another id', WAIT_MS, async () => {
      const now = await ownId().catch(() => before);
      return now === before || now === 'c' ? undefined : now;
    });

  it('leaves what it alone had in a file, and takes part again under another id', async () => {
    await count('a', 'shared');
    await isAtBoth('shared', 1);
    // Apart from each other.
    for (const each of ['a', 'c']) await end(each);
    await start('c', { MEMPLANE_GOSSIP_JOIN: NOWHERE });
    await count('c', 'only-here');
    await end('c');
    await start('a');
    await ask('a', 'POST', '/v1/members/c/forget');
    await count('a', 'shared');
    await start('c');
    id = await hasNewId('c');
    assert.match(id, /^c-[0-9a-f]{6}$/);
    await isAtBoth('shared', 2);
    await isAtBoth('only-here', 0);
    const { alerts } = await ask<{ alerts: { code: string; detail: string; subject: string }[] }>(
      'c',
      'GET',
      '/v1/alerts',
    );
    const [name = ''] = await exported();
    const told = alerts.find(({ code }) => code === 'replica_forgotten');
    assert.equal(told?.subject, 'c');
    assert.ok(told.detail.includes(name), told.detail);
    const sums = await sumsIn(path.join(dir, 'c', name));
    assert.deepEqual(sums, { 'default/only-here': 1, 'default/shared': 1 });
  });

  it('is as any other from then on, under that id', async () => {
    await count('c', 'shared');
    await isAtBoth('shared', 3);
    await end('c');
    await start('c');
    assert.equal(await ownId(), id);
    await count('c', 'shared');
    await isAtBoth('shared', 4);
    assert.equal((await exported()).length, 1);
  });

  it('leaves at once when it is forgotten while it is written to, and loses nothing', async () => {
    let written = 0;
    let isLoaded = true;
    const load = (async () => {
      while (isLoaded) {
        const isDone = await count('c', 'late').then(
          () => true,
          () => false,
        );
        if (isDone) written++;
      }
    })();
    await eventually('it is written to', WAIT_MS, () => Promise.resolve(written > 5 || undefined));
    const files = await exported();
    await ask('a', 'POST', `/v1/members/${id}/forget`);
    const next = await hasNewId(id);
    isLoaded = false;
    await load;
    const [last = ''] = (await exported()).filter((name) => !files.includes(name));
    const before = (await sumsIn(path.join(dir, 'c', last)))['default/late'] ?? 0;
    await isAtBoth('shared', 4);
    // What was acknowledged before is in the file, what came after it is here.
    const here = await value('c', 'late');
    assert.ok(before + here >= written, `${before} and ${here} of ${written}`);
    id = next;
  });

  it('hears again that it is forgotten where its new id was lost with its folder', async () => {
    await end('c');
    await rm(path.join(dir, 'c', 'crdt'), { recursive: true });
    await start('c');
    assert.notEqual(await hasNewId('c'), id);
    await isAtBoth('shared', 4);
  });
});

describe('a forgotten replica that can not export what it holds', () => {
  it('keeps it, and stays what it is', async () => {
    const dir = await mkdtemp(path.join(tmpdir(), 'memplane-leaving-'));
    const folder = { dir: path.join(dir, 'crdt'), now: () => 0 };
    const env = { MEMPLANE_REPLICA_ID: 'c', MEMPLANE_GOSSIP_JOIN: NOWHERE };
    const config = readCrdtSyncConfig(env);
    const first = await openFolder(config, folder);
    await first.storage.membership.saveMembership({ startEpoch: 1, forgotten: ['c'] });
    await first.storage.store.close();
    // A folder where the file is to be.
    await mkdir(path.join(dir, 'crdt-of-c-19700101T000000000Z.ndjson.unfinished'));
    const { config: kept, failure, left, storage } = await openFolder(config, folder);
    assert.equal((failure as NodeJS.ErrnoException).code, 'EISDIR');
    assert.deepEqual([left, kept.replicaId], [undefined, 'c']);
    assert.deepEqual((await storage.membership.loadMembership())?.forgotten, ['c']);
    await storage.store.close();
    await rm(dir, { recursive: true });
  });
});

/** What the counters in an export come to; it has to be whole. */
async function sumsIn(file: string): Promise<Record<string, number>> {
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  const parsed = lines.map((line) => JSON.parse(line) as { delta?: string; end?: boolean });
  assert.equal(parsed.at(-1)?.end, true);
  const sums: Record<string, number> = {};
  for (const { delta } of parsed) {
    if (delta === undefined) continue;
    for (const [key, { entries }] of decodeReplicaDelta(Buffer.from(delta, 'base64')).counters) {
      sums[key] = [...entries.values()].reduce((sum, { net }) => sum + Number(net), 0);
    }
  }
  return sums;
}
