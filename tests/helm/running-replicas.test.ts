import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { redisBinary } from '@memplane/stack';
import { ContainerProcess, type KubeletOptions, Scratch } from './lib/kubelet.ts';
import { DISTRIBUTED, NAME, named, pods, type Resource, render } from './lib/render.ts';

// The three rendered pods of crdt-sync, run on three addresses of this machine: each with its own
// real Redis beside it, started as the chart says. There is no sidecar, and they are told so: their
// replica set is then the rendered one, fixed. By sidecars and etcd the stack's tests have it.
const TOKEN = 'a-token-of-the-test';
const KEY = randomBytes(32).toString('base64');
const rendered = render(DISTRIBUTED, { preStopSeconds: 0 });
const pod = pods(rendered).get('crdt-sync')!;
const application = named(pod['spec']!['containers'], 'crdt-sync');
const redis = named(pod['spec']!['initContainers'], 'redis');
const secrets = (name: string) => (name.endsWith('-gossip') ? KEY : TOKEN);
/** Of 127/8, so that ports are the real ones; drawn, so that runs do not meet. */
const network = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
const ORDINALS = [1, 2, 3];

test('three replicas with a Redis each, as rendered, find each other, replicate, compare and end', async (t) => {
  using scratch = new Scratch();
  const binary = await redisBinary();
  const running: ContainerProcess[] = [];
  const start = (container: Resource, ordinal: number) => {
    // A Redis that was unpacked for tests is in the home of whoever runs them.
    const isOwnUser = container === redis && binary.command.includes('/');
    const options = optionsOf(scratch.path, ordinal, binary);
    const started = new ContainerProcess(pod, container, { ...options, isOwnUser });
    running.push(started);
    return started;
  };
  try {
    const stores = ORDINALS.map((ordinal) => start(redis, ordinal));
    // Native sidecars: the application waits for their start.
    await Promise.all(stores.map((store) => store.until('startupProbe')));
    const replicas = ORDINALS.map((ordinal) => start(application, ordinal));
    await Promise.all(replicas.map((replica) => replica.until('startupProbe')));
    await Promise.all(replicas.map((replica) => replica.until('readinessProbe', 60)));

    await eventually(async () => {
      const { members } = await call(1, 'GET', '/v1/members');
      const alive = members.filter(({ state }) => state === 'alive');
      assert.deepEqual(
        new Set(alive.map(({ replica }) => replica)),
        new Set(ORDINALS.map((ordinal) => `${NAME}-crdt-sync-${ordinal - 1}`)),
      );
    });
    await call(1, 'POST', '/v1/counters/pods/increments?write=quorum', { by: 3 });
    const read = await call(3, 'GET', '/v1/counters/pods?read=quorum');
    assert.equal(read.value, 3);
    assert.equal(read.quorum.of, 3);
    await eventually(async () => {
      assert.equal((await call(2, 'GET', '/v1/counters/pods')).value, 3);
    });

    const good = compare();
    assert.equal(good.status, 0, good.stderr);
    assert.equal(good.stdout.trim().split('\n').length, 3);

    const [first] = replicas;
    const end = await first!.end();
    assert.equal(end.code, 0, first!.said);
    assert.ok(end.afterMs < end.graceMs, `${end.afterMs} of ${end.graceMs} ms`);
    t.diagnostic(`figure: a replica ended in ${Math.round(end.afterMs)} of ${end.graceMs} ms`);
    assert.equal((await call(2, 'GET', '/v1/counters/pods?read=quorum')).value, 3);
    const without = compare();
    assert.equal(without.status, 1, 'a replica that does not answer is told');
    assert.match(without.stderr, new RegExp(`${network}.1`));
  } finally {
    await Promise.all(running.map((each) => each.kill()));
  }
});

function optionsOf(
  scratch: string,
  ordinal: number,
  { command, libraryPath }: Awaited<ReturnType<typeof redisBinary>>,
): KubeletOptions {
  const address = `${network}.${ordinal}`;
  const folder = (name: string) => join(scratch, String(ordinal), name);
  const folders = command.includes('/') ? `${dirname(command)}:/usr/bin:/bin` : '/usr/bin:/bin';
  return {
    volumes: Object.fromEntries(
      ['data', 'tmp', 'redis', 'redis-run'].map((name) => [name, folder(name)]),
    ),
    files: { [`${NAME}-redis`]: rendered.get('ConfigMap', `${NAME}-redis`) },
    fields: { 'metadata.name': `${NAME}-crdt-sync-${ordinal - 1}`, 'status.podIP': address },
    secrets,
    address,
    // What all containers of a pod share by its network is an address of its own here.
    texts: (text) =>
      text
        .replaceAll('127.0.0.1', address)
        .replaceAll('redis-cli ping', `redis-cli -h ${address} ping`),
    env: {
      PATH: folders,
      ...(libraryPath === undefined ? {} : { LD_LIBRARY_PATH: libraryPath }),
      DAPR_HTTP_PORT: '',
      MEMPLANE_HOST: address,
      MEMPLANE_GOSSIP_HOST: address,
      // Where the name of the headless service would lead.
      MEMPLANE_GOSSIP_JOIN: ORDINALS.map((other) => `${network}.${other}:7946`).join(','),
    },
  };
}

/** The CronJob's program, with addresses in place of the cluster's names. */
function compare() {
  const urls = ORDINALS.map((ordinal) => `http://${network}.${ordinal}:7103`).join(',');
  const program = String(rendered.get('ConfigMap', `${NAME}-check`)['data']!['compare.mjs']);
  return spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    env: { MEMPLANE_TOKEN: TOKEN, CHECK_REPLICA_URLS: urls },
    encoding: 'utf8',
    timeout: 60_000,
  });
}

/** What this test reads of answers. */
interface Answer {
  readonly value: number;
  readonly quorum: { readonly of: number };
  readonly members: readonly { readonly replica: string; readonly state: string }[];
}

async function call(
  ordinal: number,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const answer = await fetch(`http://${network}.${ordinal}:7103${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(10_000),
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${text}`);
  return JSON.parse(text);
}

async function eventually(check: () => Promise<void>): Promise<void> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await sleep(200);
  }
}
