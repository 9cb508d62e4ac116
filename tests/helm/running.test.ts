import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { ContainerProcess, type KubeletOptions, Scratch } from './lib/kubelet.ts';
import { NAME, named, pods, render } from './lib/render.ts';
import { environmentOf } from './lib/services.ts';
import { standalonePorts } from './lib/standalone-ports.ts';

// The rendered standalone pod, run: its command, environment, user, volume and probes as a process.
// Only its ports are others, since another plane may run on this machine.
const TOKEN = 'a-token-of-the-test';
const rendered = render({ preStopSeconds: 1 });
const pod = pods(rendered).get('standalone')!;
const container = named(pod['spec']!['containers'], 'standalone');
const secrets = () => TOKEN;

async function optionsIn(scratch: Scratch): Promise<KubeletOptions> {
  const volumes = { data: join(scratch.path, 'data'), tmp: join(scratch.path, 'tmp') };
  return { volumes, fields: {}, secrets, ...(await standalonePorts()) };
}

test('the standalone pod starts, is tested, ends within its grace period, and has its data again', async (t) => {
  using scratch = new Scratch();
  const options = await optionsIn(scratch);
  const first = new ContainerProcess(pod, container, options);
  try {
    const startMs = await first.until('startupProbe');
    await first.until('readinessProbe', 30);
    assert.equal(await first.probe('livenessProbe'), true);
    check(options, 'first');
    const open = await fetch(`http://127.0.0.1:${options.ports?.[7102]}/v1/entities/check/first`);
    assert.equal(open.status, 401, 'nobody reads without the token');
    const end = await first.end();
    assert.equal(end.code, 0, first.said);
    assert.ok(end.afterMs < end.graceMs, `${end.afterMs} of ${end.graceMs} ms`);
    t.diagnostic(
      `figure: started in ${Math.round(startMs)} ms, ended in ${Math.round(end.afterMs)} of ${end.graceMs} ms`,
    );
  } finally {
    await first.kill();
  }
  const again = new ContainerProcess(pod, container, {
    ...options,
    volumes: { ...options.volumes, tmp: join(scratch.path, 'tmp-2') },
  });
  try {
    await again.until('startupProbe');
    await again.until('readinessProbe', 30);
    const answer = await fetch(
      `http://127.0.0.1:${options.ports?.[7102]}/v1/entities/check/first`,
      {
        headers: { authorization: `Bearer ${TOKEN}` },
      },
    );
    assert.equal(answer.status, 200, await answer.clone().text());
    assert.equal(
      ((await answer.json()) as { attributes: { checked: boolean } }).attributes.checked,
      true,
    );
  } finally {
    await again.kill();
  }
});

test('a pod that is not what it should be is found: no secret, no volume to write to, a port that is taken', async () => {
  using scratch = new Scratch();
  const options = await optionsIn(scratch);
  const wrong: KubeletOptions[] = [
    { ...options, env: { ...options.env, MEMPLANE_TOKEN: '' } },
    { ...options, env: { ...options.env, MEMPLANE_DATA_DIR: '/dev/null/nowhere' } },
    { ...options, env: { ...options.env, MEMPLANE_RESP_PORT: String(options.ports?.[7101]) } },
  ];
  for (const each of wrong) {
    const process = new ContainerProcess(pod, container, each);
    try {
      await assert.rejects(process.until('startupProbe', 30), /it has ended/);
      assert.notEqual(await process.exit, 0);
    } finally {
      await process.kill();
    }
  }
});

/** Runs the pod of `helm test`: what it asks is where the cluster's names would lead. */
function check(options: KubeletOptions, id: string): void {
  const checkPod = pods(rendered).get('check')!;
  const own = named(checkPod['spec']!['containers'], 'check');
  const env = environmentOf(own, {}, secrets);
  for (const [name, value] of Object.entries(env)) {
    if (!/_URL$/.test(name)) continue;
    const port = Number(new URL(value).port);
    env[name] = `http://127.0.0.1:${options.ports?.[port]}`;
  }
  const program = String(rendered.get('ConfigMap', `${NAME}-check`)['data']!['check.mjs']);
  const run = (more: Record<string, string>) =>
    spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      env: { ...env, ...more, CHECK_ID: id },
      encoding: 'utf8',
      timeout: 60_000,
    });
  const good = run({});
  assert.equal(good.status, 0, good.stderr);
  assert.match(good.stdout, /appended, seen, found and counted/);
  const unknown = run({ MEMPLANE_TOKEN: 'another' });
  assert.equal(unknown.status, 1);
  assert.match(unknown.stderr, /401/);
  const elsewhere = run({ CHECK_CRDT_SYNC_URL: 'http://127.0.0.1:9' });
  assert.equal(elsewhere.status, 1);
  assert.match(elsewhere.stderr, /no answer/);
}
