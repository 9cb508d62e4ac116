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
import { servicePlan } from '@memplane/stack';
import { DaprFixture } from '@memplane/stack/dapr-fixture';
import { bytesLeft, eventually, formsOfText } from '@memplane/testkit';
import { freePorts } from '@memplane/testkit/ports';

const stack = new DaprFixture();
const SERVERS = ['kafka', 'etcd', 'redis'];
const WAIT_MS = 30_000;
const ingests: string[] = [];
let views = '';

before(async () => {
  await stack.start();
  const zones = join(stack.dir, 'zones.yaml');
  const keys = join(stack.dir, 'master-keys');
  const sealed = (match: string, consistency: string) =>
    `  - {match: "${match}/*", consistency: ${consistency}, sealed: true}\n`;
  await writeFile(zones, `zones:\n${sealed('patient', 'eventual')}${sealed('case', 'strong')}`);
  await writeFile(keys, `k1:${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  const [one = 0, two = 0, port = 0, peers = 0] = await freePorts(4);
  await serve('materializer', 'materializer', port, {
    MEMPLANE_MATERIALIZER_DIR: join(stack.dir, 'views'),
    MEMPLANE_MATERIALIZER_PEER_PORT: String(peers),
    MEMPLANE_TIME_CUT_SETTLE_MS: '11000',
  });
  views = `http://127.0.0.1:${port}`;
  const settings = {
    MEMPLANE_ZONES: zones,
    MEMPLANE_ZONES_POLL_MS: '200',
    MEMPLANE_STRONG_SETTLE_MS: '1500',
    MEMPLANE_SEALING_KEYS: keys,
  };
  await Promise.all([
    serve('event-ingest', 'ingest-1', one, settings),
    serve('event-ingest', 'ingest-2', two, settings),
  ]);
  ingests.push(...[one, two].map((at) => `http://127.0.0.1:${at}`));
});
after(() => stack[Symbol.asyncDispose]());

async function serve(
  service: 'event-ingest' | 'materializer',
  name: string,
  port: number,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const [httpPort = 0] = await freePorts(1);
  const plan = servicePlan({
    ...{ service, name, port },
    dir: join(stack.dir, name),
    env: {
      MEMPLANE_KAFKA_BROKERS: stack.brokers.join(','),
      MEMPLANE_TOKEN: 'operator',
      DAPR_HTTP_PORT: String(httpPort),
      DAPR_HTTP_ENDPOINT: `http://127.0.0.1:${httpPort}`,
      DAPR_API_TOKEN: stack.tokens.apiTokens[service],
      APP_API_TOKEN: stack.tokens.appTokens[service],
      ...env,
    },
  });
  // Each waits for the other.
  const sidecar = stack.sidecar(service, port, `${name}-dapr`, httpPort);
  await Promise.all([sidecar, stack.run(plan)]);
}

interface Answer {
  readonly status: number;
  readonly [member: string]: unknown;
}

async function call(method: string, url: string, body?: unknown): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: {
      authorization: 'Bearer operator',
      'content-type': 'application/json',
      // Reading files takes longer than a connection is kept.
      connection: 'close',
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { ...((await response.json()) as object), status: response.status };
}

const newSecret = () => `s${randomBytes(12).toString('hex')}`;

/** Appends by one of the instances, again where it was only not the moment. */
async function say(instance: number, entity: string, id: string, text: string): Promise<Answer> {
  const memory = { id: 'm', text, metadata: { about: text } };
  const body = { id, type: 'Said', entity, data: { text }, attributes: { said: text }, memory };
  return eventually(`${id} of ${entity} is appended`, WAIT_MS, async () => {
    const answer = await call('POST', `${ingests[instance % 2]}/v1/events`, body);
    assert.ok(answer.status === 201 || answer['transient'] === true, JSON.stringify(answer));
    return answer.status === 201 ? answer : undefined;
  });
}

/** Where the files of the servers have a text, in whatever form; what is compressed is opened. */
function filesWith(text: string): string[] {
  const secrets = new Map([['said', formsOfText(text)]]);
  return SERVERS.flatMap((server) =>
    bytesLeft(join(stack.dir, server), secrets).map((found) => `${server}/${found}`),
  );
}

/** What `memory-views` has of an entity, as Kafka keeps it. */
function messagesOf(entity: string): string[] {
  const logs = globSync('kafka/**/memory-views-*/*.log', { cwd: stack.dir });
  return logs.filter((name) => readFileSync(join(stack.dir, name)).includes(entity));
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
    const view = await call('GET', `${views}/v1/entities/${entity}?after=${token}&waitMs=20000`);
    assert.equal(view.status, 200, JSON.stringify(view));
    assert.deepEqual(view['attributes'], { said: secrets[1] });
    const history = await call('GET', `${views}/v1/entities/${entity}/history`);
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
  const refused = await call('POST', `${ingests[0]}/v1/erasures`, { entity });
  assert.deepEqual([refused.status, refused['code']], [501, 'not_implemented']);
  await say(1, entity, 'e2', newSecret());
});
