/**
 * Sealing on real servers: two instances of event-ingest that share the keys in etcd, the log on Kafka,
 * recent ids in Redis, each service beside its own sidecar; views and index by processes of their own.
 * What was said is looked for in every file of the servers, and once it is erased in every file there is.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { eventually } from '@memplane/testkit';
import { describeErasures } from '../erasures/testing-erasures.ts';
import { newSecret, SealedPlane } from './testing-sealed-plane.ts';

const plane = new SealedPlane();
const SERVER = /^(kafka|etcd|redis)\//;
const WAIT_MS = 30_000;

before(() => plane.startSealed());
after(() => plane[Symbol.asyncDispose]());

/** Where the files of the servers have a text. */
function filesWith(text: string): string[] {
  return plane.filesWith(text).filter((name) => SERVER.test(name));
}

/** What `memory-views` has of an entity, as Kafka keeps it. */
function messagesOf(entity: string): string[] {
  const logs = globSync('kafka/**/memory-views-*/*.log', { cwd: plane.servers.dir });
  return logs.filter((name) => readFileSync(join(plane.servers.dir, name)).includes(entity));
}

for (const [kind, zone] of [
  ['patient', 'eventual'],
  ['case', 'strong'],
] as const) {
  test(`what is said in a sealed ${zone} zone is in no file of a server, and read opened`, async () => {
    const entity = `${kind}/${randomBytes(6).toString('hex')}`;
    const secrets = [newSecret(), newSecret()];
    let token: unknown;
    // Both instances, the second with the key that the first has made.
    for (const [i, text] of secrets.entries())
      token = (await plane.say(i, entity, `e${i}`, text))['token'];
    const again = await plane.say(1, entity, 'e0', secrets[0] ?? '');
    const [{ duplicate }] = again['accepted'] as [{ duplicate: boolean }];
    assert.equal(duplicate, true, 'identity and digest are equal in both');
    const view = await plane.call(
      'GET',
      `${plane.views}/v1/entities/${entity}?after=${token}&waitMs=20000`,
    );
    assert.equal(view.status, 200, JSON.stringify(view));
    assert.deepEqual(view['attributes'], { said: secrets[1] });
    const history = await plane.call('GET', `${plane.views}/v1/entities/${entity}/history`);
    const events = history['events'] as { event: { data: { data: unknown }; keyid: string } }[];
    const said = events.map(({ event }) => event.data.data);
    assert.deepEqual(
      said,
      secrets.map((text) => ({ text })),
    );
    assert.equal(new Set(events.map(({ event }) => event.keyid)).size, 1, 'sealed with one key');
    await eventually('the view is published', WAIT_MS, async () =>
      messagesOf(entity).length > 0 ? true : undefined,
    );
    for (const text of secrets) assert.deepEqual(filesWith(text), []);
  });
}

test('what is not sealed is found: the search looks where it should', async () => {
  const entity = `user/${randomBytes(6).toString('hex')}`;
  const text = newSecret();
  await plane.say(0, entity, 'e', text);
  await eventually('the view is published', WAIT_MS, async () =>
    messagesOf(entity).length > 0 ? true : undefined,
  );
  const found = filesWith(text);
  for (const topic of ['agent-events', 'memory-views']) {
    assert.ok(
      found.some((name) => name.includes(`/${topic}-`)),
      `${topic}: ${found}`,
    );
  }
});

describeErasures(plane);
