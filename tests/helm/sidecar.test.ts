import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { daprdBinary } from '@memplane/stack';
import { freePorts } from '@memplane/testkit/ports';
import { stringify } from 'yaml';
import { Scratch } from './lib/kubelet.ts';
import { chart, renderFile } from './lib/render.ts';

// A real sidecar (the stack's own build) with the Configuration and the secret store that the chart
// renders: does it read them as they are meant? What needs a cluster or a store is left out.
const TOKEN = 'a-token-of-the-test';
const full = renderFile(join(chart, 'ci/full-values.yaml'));

for (const appId of ['materializer', 'event-ingest'] as const) {
  test(`the sidecar of ${appId} takes its Configuration, and gives what that allows`, async () => {
    using scratch = new Scratch();
    const resources = join(scratch.path, 'resources');
    mkdirSync(resources);
    const write = (file: string, text: string) => {
      const path = join(scratch.path, file);
      writeFileSync(path, text);
      return path;
    };
    const secrets = write(
      'secrets.json',
      '{"s3-access-key": "a", "s3-secret-key": "b", "other": "c"}',
    );
    const store = stringify(full.get('Component', 'secrets')).replace(
      '/memplane/secrets/secrets.json',
      secrets,
    );
    // Scopes are the operator's to apply in a cluster; the sidecar applies them here.
    write('resources/secrets.yaml', store);
    write('resources/resiliency.yaml', stringify(full.get('Resiliency', 'memplane')));
    const config = write('config.yaml', stringify(full.get('Configuration', appId)));
    const ports = await freePorts(4);
    const child = spawn(
      await daprdBinary(),
      [
        ...['--app-id', appId, '--mode', 'standalone', '--config', config],
        ...['--resources-path', resources, '--dapr-listen-addresses', '127.0.0.1'],
        ...['--dapr-http-port', String(ports[0]), '--dapr-grpc-port', String(ports[1])],
        ...['--dapr-internal-grpc-port', String(ports[2]), '--metrics-port', String(ports[3])],
      ],
      { cwd: scratch.path, env: { NAMESPACE: 'mem', DAPR_API_TOKEN: TOKEN } },
    );
    let said = '';
    child.stdout.on('data', (part) => (said += part));
    child.stderr.on('data', (part) => (said += part));
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const ask = async (path: string) => {
      const url = `http://127.0.0.1:${ports[0]}/v1.0/${path}`;
      const answer = await fetch(url, { headers: { 'dapr-api-token': TOKEN } });
      return { status: answer.status, text: (await answer.text()).trim() };
    };
    try {
      for (let i = 0; ; i++) {
        assert.equal(child.exitCode, null, said);
        const health = await ask('healthz/outbound').catch(() => undefined);
        if (health?.status === 204) break;
        assert.ok(i < 300, said);
        await sleep(100);
      }
      const key = await ask('secrets/secrets/s3-access-key');
      if (appId === 'materializer') {
        assert.deepEqual(key, { status: 200, text: '{"s3-access-key":"a"}' });
        // Beside the keys of the archive nothing is opened, whatever else is in the file.
        assert.equal((await ask('secrets/secrets/other')).status, 403);
        assert.notEqual((await ask('state/strong/key')).status, 200);
      } else {
        // It is not in the scopes of the store, and the API of secrets is closed to it.
        assert.notEqual(key.status, 200);
        assert.ok(!key.text.includes('"a"'));
      }
      assert.doesNotMatch(said, /level=error/);
    } finally {
      child.kill('SIGTERM');
      await ended;
    }
  });
}
