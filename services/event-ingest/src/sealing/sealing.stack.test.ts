/**
 * Sealing on real servers: two instances of event-ingest that share the keys in etcd, the log on Kafka,
 * recent ids in Redis, each service beside its own sidecar; the views by a materializer of its own
 * process. What was said is looked for in every file of the servers.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { bytesLeft, eventually, formsOfText } from '@memplane/testkit';
import { StrongPlane, type TestAnswer } from '../strong/testing-strong-plane.ts';

const plane = new StrongPlane();
const SERVERS = ['kafka', 'etcd', 'redis'];
const WAIT_MS = 30_000;

before(() => {
  const sealed = (match: string, consistency: string) =>
    `  - {match: "${match}/*", consistency: ${consistency}, sealed: true}\n`;
  const zones = `zones:\n${sealed('patient', 'eventual')}${sealed('case', 'strong')}`;
  return plane.start(zones, async (dir) => {
    const keys = join(dir, 'master-keys');
    await writeFile(keys, `k1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    return { MEMPLANE_SEALING_KEYS: keys };
  });
});
after(() => plane[Symbol.asyncDispose]());

const newSecret = () => `s${randomBytes(12).toString('hex')}`;

/** Appends by one of the instances, again where it was only not the moment. */
async function say(
  instance: number,
  entity: string,
  id: string,
  text: string,
): Promise<TestAnswer> {
  const memory = { id: 'm', text, metadata: { about: text } };
  const body = { id, type: 'Said', entity, data: { text }, attributes: { said: text }, memory };
  return eventually(`${id} of ${entity} is appended`, WAIT_MS, async () => {
    const answer = await plane.call('POST', `${plane.ingests[instance % 2]}/v1/events`, body);
    assert.ok(answer.status === 201 || answer['transient'] === true, JSON.stringify(answer));
    return answer.status === 201 ? answer : undefined;
  });
}

/** Where the files of the servers have a text, in whatever form; what is compressed is opened. */
function filesWith(text: string): string[] {
  const secrets = new Map([['said', formsOfText(text)]]);
  return SERVERS.flatMap((server) =>
    bytesLeft(join(plane.servers.dir, server), secrets).map((found) => `${server}/${found}`),
  );
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
      token = (await say(i, entity, `e${i}`, text))['token'];
    const again = await say(1, entity, 'e0', secrets[0] ?? '');
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
  await say(0, entity, 'e', text);
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

test('an erasure is refused, with words, and changes nothing', async () => {
  const entity = `patient/${randomBytes(6).toString('hex')}`;
  await say(0, entity, 'e', newSecret());
  const refused = await plane.call('POST', `${plane.ingests[0]}/v1/erasures`, { entity });
  assert.deepEqual([refused.status, refused['code']], [501, 'not_implemented']);
  await say(1, entity, 'e2', newSecret());
});
