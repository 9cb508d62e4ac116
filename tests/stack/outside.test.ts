import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { before, test } from 'node:test';
import {
  type AppId,
  gossipKey,
  operatorToken,
  ServerProcess,
  secretsFile,
  stackSecrets,
} from '@memplane/stack';
import { type Answer, call, freePorts, ScratchFolder } from '@memplane/testkit';
import { persist } from './persist.ts';
import { StackPlane } from './stack-plane.ts';

// What someone outside the plane may try, on the whole of it: each is refused, and changes nothing.
const EVENT = { id: 'never', type: 'Tried', entity: 'user/outside' };
const REFUSED = [401, 403];

let plane: StackPlane;
before(async () => {
  plane = await StackPlane.connect();
});

test('without a token, or with a wrong one, a sidecar refuses', async () => {
  const [, another = ''] = plane.apiToken.split(/(.{8})$/);
  for (const token of [undefined, '', 'x', `${another}x`, 'x'.repeat(plane.apiToken.length)]) {
    const headers = { 'dapr-api-token': token ?? '' };
    const asked: [string, string, unknown?][] = [
      ['POST', `${plane.ingest}/v1/events`, EVENT],
      ['GET', `${plane.materializer}/v1/shards`],
      ['POST', `${plane.endpoint}/v1.0/publish/pubsub/agent-inbox`, EVENT],
    ];
    for (const [method, url, body] of asked) {
      const answer = await call(method, url, { headers, body });
      assert.equal(answer.status, 401, `${method} ${url} with ${JSON.stringify(token)}`);
    }
  }
});

test('past the sidecars, a service serves nobody', async () => {
  const { apiTokens } = stackSecrets(plane.settings.dir);
  for (const { app } of plane.plans.instances) {
    const base = `http://127.0.0.1:${app.port}`;
    const tokens = [{}, { 'dapr-api-token': 'x' }, { 'dapr-api-token': apiTokens[app.service] }];
    for (const headers of [...tokens, { 'dapr-caller-app-id': 'agent' }]) {
      for (const path of ['/v1/events?id=x', '/v1/shards', '/v1/counters/c', '/metrics', '/']) {
        const answer = await call('GET', base + path, { headers });
        assert.ok(REFUSED.includes(answer.status), `${app.name} ${path}: ${answer.status}`);
      }
      const answer = await call('POST', `${base}/v1/events`, { headers, body: EVENT });
      assert.ok(REFUSED.includes(answer.status), `${app.name}: ${answer.status}`);
    }
  }
});

test('the ports beside those of HTTP ask for a token too', async () => {
  for (const { app } of plane.plans.instances) {
    for (const port of app.ports.slice(1)) {
      if (app.service === 'crdt-sync') {
        assert.match(await say(port, 'CRDT.GET tasks\r\n'), /^-NOAUTH/, app.name);
        assert.match(await say(port, 'AUTH wrong\r\n'), /^-/, app.name);
      } else {
        const answer = await call('GET', `http://127.0.0.1:${port}/`);
        assert.ok([...REFUSED, 404].includes(answer.status), `${app.name}: ${answer.status}`);
        const digest = await call('GET', `http://127.0.0.1:${port}/v1/shards`);
        assert.ok(REFUSED.includes(digest.status), `${app.name}: ${digest.status}`);
      }
    }
  }
});

test('an application that no list names is refused, whatever it asks', async () => {
  using folder = new ScratchFolder('stranger');
  await using stranger = await sidecarOf('stranger', folder.path);
  for (const [service, method, path, body] of [
    ['event-ingest', 'POST', '/v1/events', EVENT],
    ['materializer', 'GET', '/v1/entities/user/42'],
    ['crdt-sync', 'POST', '/v1/counters/outside/increments', { by: 1 }],
    ['vector-index', 'POST', '/v1/search', { text: 'x', topK: 1 }],
  ] as const) {
    const answer = await stranger.ask(method, `/v1.0/invoke/${service}/method${path}`, body);
    assert.equal(answer.status, 403, `${service}: ${answer.text}`);
  }
  for (const path of [
    '/v1.0/publish/pubsub/agent-inbox',
    '/v1.0/publish/pubsub/agent-events',
    '/v1.0/state/state',
    '/v1.0/state/strong',
  ]) {
    const answer = await stranger.ask('POST', path, EVENT);
    assert.ok(answer.status >= 400, `${path}: ${answer.status} ${answer.text}`);
  }
  const secret = await stranger.ask('GET', '/v1.0/secrets/secrets/redis-password');
  assert.ok(secret.status >= 400, secret.text);
});

test('an agent publishes to its inbox, and to nothing else', async () => {
  for (const topic of ['agent-events', 'agent-inbox-dead', 'memory-views', 'memory-alerts', 'x']) {
    const url = `${plane.endpoint}/v1.0/publish/pubsub/${topic}`;
    const answer = await call('POST', url, { body: EVENT });
    assert.equal(answer.status, 403, `${topic}: ${answer.text}`);
    const bulk = await call('POST', url.replace('/v1.0/publish', '/v1.0-alpha1/publish/bulk'), {
      body: [{ entryId: '1', event: EVENT, contentType: 'application/json' }],
    });
    assert.equal(bulk.status, 403, `${topic} in bulk: ${bulk.text}`);
  }
});

test('an agent calls what is opened to it, and nothing else', async () => {
  const part = { logId: 'x', epoch: 0, offset: 1, value: 1 };
  for (const [base, method, path, body] of [
    [plane.crdt, 'PUT', '/v1/counters/events_total/partitions/0', part],
    [plane.crdt, 'POST', '/v1/reconciliations', {}],
    [plane.crdt, 'POST', '/reconcile-timer', {}],
    [plane.ingest, 'GET', '/metrics', undefined],
    [plane.ingest, 'GET', '/dapr/subscribe', undefined],
    [plane.materializer, 'POST', '/v1/events', EVENT],
    [plane.vectors, 'GET', '/metrics', undefined],
    // Not by a detour either: what comes out of it is looked at, not what was written.
    [plane.crdt, 'PUT', '/v1/sets/..%2Fcounters/events_total/partitions/0', part],
    [plane.ingest, 'GET', '/v1/events/..%2F..%2Fmetrics', undefined],
  ] as const) {
    const answer = await call(method, base + path, { body });
    assert.ok([400, 403, 404].includes(answer.status), `${path}: ${answer.status} ${answer.text}`);
    assert.doesNotMatch(answer.text, /# TYPE|"value"/, path);
  }
  for (const path of [
    '/v1.0/state/state',
    '/v1.0/state/strong',
    '/v1.0/secrets/secrets/redis-password',
    '/v1.0/metadata',
    '/v1.0/configuration/x',
    '/v1.0/shutdown',
  ]) {
    const method = path.includes('secrets') || path.includes('metadata') ? 'GET' : 'POST';
    const answer = await call(method, plane.endpoint + path, { body: [] });
    assert.ok(answer.status >= 400, `${path}: ${answer.status} ${answer.text}`);
  }
});

test('a service reaches the components in its scope, and no other', async () => {
  const { apiTokens } = stackSecrets(plane.settings.dir);
  const sidecars = new Map(plane.plans.instances.map((one) => [one.app.service, one.sidecar]));
  for (const [service, path] of [
    ['vector-index', '/v1.0/state/state/x'],
    ['vector-index', '/v1.0/state/strong/x'],
    ['vector-index', '/v1.0/secrets/secrets/s3-secret-key'],
    ['materializer', '/v1.0/state/strong/x'],
    ['materializer', '/v1.0/secrets/secrets/redis-password'],
    ['crdt-sync', '/v1.0/secrets/secrets/s3-secret-key'],
    ['event-ingest', '/v1.0/secrets/secrets/redis-password'],
  ] as const) {
    const base = `http://127.0.0.1:${sidecars.get(service)?.httpPort}`;
    const headers = { 'dapr-api-token': apiTokens[service] };
    const answer = await call('GET', base + path, { headers });
    assert.ok(answer.status >= 400, `${service} ${path}: ${answer.status} ${answer.text}`);
  }
});

test('of all that was tried, nothing is in the log', async () => {
  const url = `${plane.materializer}/v1/entities/${EVENT.entity}`;
  await persist(404, 'GET', url);
});

test('secrets are in no log and on no command line', () => {
  const { dir } = plane.settings;
  const tokens = stackSecrets(dir);
  const { values } = secretsFile(dir);
  const secrets = new Map<string, string>();
  for (const id of Object.keys(tokens.apiTokens) as AppId[]) {
    secrets.set(`API token of ${id}`, tokens.apiTokens[id]);
    secrets.set(`application token of ${id}`, tokens.appTokens[id]);
  }
  secrets.set('password of Redis', values['redis-password']);
  secrets.set('key of gossip', gossipKey(dir));
  secrets.set("operator's token", operatorToken(dir));
  secrets.set('key of S3', values['s3-secret-key']);
  const logs = globSync('**/*.{log,jsonl}', { cwd: dir }).map((name) => join(dir, name));
  assert.ok(logs.length >= plane.servers.length, `${logs.length} logs were read`);
  assert.deepEqual(leaks(logs, secrets), []);
  const processes = execFileSync('ps', ['-eo', 'args', '-ww'], { encoding: 'utf8' });
  for (const [what, secret] of secrets) assert.ok(!processes.includes(secret), `ps shows ${what}`);

  // The search itself: one planted secret has to be found.
  using folder = new ScratchFolder('leak');
  const planted = join(folder.path, 'planted.log');
  writeFileSync(planted, `level=info msg="calling with ${values['redis-password']}"\n`);
  assert.deepEqual(leaks([planted], secrets), [`${planted}: password of Redis`]);
});

// The last of all: a sidecar writes the `dapr-` headers of a call that it refuses into its span.
test("another application's token is refused", async () => {
  const { apiTokens } = stackSecrets(plane.settings.dir);
  const foreign = await call('POST', `${plane.url('event-ingest')}/v1/events`, {
    headers: { 'dapr-api-token': apiTokens['vector-index'] },
    body: EVENT,
  });
  assert.equal(foreign.status, 401);
});

/** Sends a line and gives back what comes first. */
function say(port: number, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 5_000 }, () => socket.write(line));
    socket.once('data', (part) => {
      socket.destroy();
      resolve(part.toString('utf8'));
    });
    socket.once('timeout', () => socket.destroy(new Error(`port ${port} says nothing`)));
    socket.once('error', reject);
  });
}

function leaks(files: readonly string[], secrets: ReadonlyMap<string, string>): string[] {
  const found: string[] = [];
  for (const file of files) {
    const text = readFileSync(file, 'latin1');
    for (const [what, secret] of secrets) if (text.includes(secret)) found.push(`${file}: ${what}`);
  }
  return found;
}

interface Stranger extends AsyncDisposable {
  ask(method: string, path: string, body?: unknown): Promise<Answer>;
}

/** A sidecar with a certificate of this very plane, but with an app id that is on no list. */
async function sidecarOf(appId: string, dir: string): Promise<Stranger> {
  const agent = plane.plans.stages.flat().find(({ name }) => name === 'agent-dapr');
  assert.ok(agent);
  const ports = await freePorts(4);
  let next = 0;
  const args = agent.args.map((arg, i) => {
    if (agent.args[i - 1] === '--app-id') return appId;
    return agent.ports.includes(Number(arg)) ? String(ports[next++]) : arg;
  });
  const [httpPort = 0] = ports;
  const url = `http://127.0.0.1:${httpPort}`;
  const headers = { 'dapr-api-token': plane.apiToken };
  const server = await ServerProcess.start({
    ...agent,
    ...{ name: appId, args, ports, cwd: dir, logFile: join(dir, `${appId}.log`) },
    check: async () => {
      const answer = await call('GET', `${url}/v1.0/healthz`, { headers });
      if (answer.status !== 204) throw new Error(`${appId} answers ${answer.status}`);
    },
  });
  return {
    ask: (method, path, body) => call(method, url + path, { headers, body }),
    [Symbol.asyncDispose]: () => server.kill(),
  };
}
