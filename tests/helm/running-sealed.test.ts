import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bearerOf, bytesLeft, eventually, formsOfText, writeTenants } from '@memplane/testkit';
import { ContainerProcess, type KubeletOptions, Scratch } from './lib/kubelet.ts';
import { NAME, named, pods, type Resource, render } from './lib/render.ts';
import { standalonePorts } from './lib/standalone-ports.ts';

// The rendered standalone pod with zones, master keys and tenants, run: it tells callers apart, seals
// and erases, and reads what it has sealed again after a restart, by the keys of the secret alone.
const OPERATOR = 'an-operator-of-the-test';
const ACME = 'acme-agents';
const ACME_OPERATOR = 'acme-operators';
/** From the answer to an erasure until nobody reads what is erased. */
const UNREADABLE_MS_MAX = 5_000;
const WAIT_MS = 120_000;
const rendered = render({
  preStopSeconds: 0,
  zones: { enabled: true, rules: [{ match: 'order/*', consistency: 'strong', sealed: true }] },
  'sealing.enabled': true,
  'tenants.enabled': true,
  // As ever, but sooner.
  'standalone.settings': {
    MEMPLANE_ERASURE_POLL_MS: 100,
    MEMPLANE_ERASURE_TICK_MS: 50,
    MEMPLANE_INDEX_RETIRE_MS: 200,
    MEMPLANE_KEY_CACHE_MS: 200,
    MEMPLANE_ARCHIVE_TICK_MS: 50,
  },
});
const pod = pods(rendered).get('standalone')!;
const container = named(pod['spec']!['containers'], 'standalone');

async function optionsIn({ path }: Scratch): Promise<KubeletOptions> {
  const tenants = writeTenants(path, {
    [ACME]: { tenant: 'acme', roles: ['writer', 'reader'] },
    [ACME_OPERATOR]: { tenant: 'acme', roles: ['operator'] },
  });
  const masterKeys = `k1:${randomBytes(32).toString('base64')}\n`;
  const secret = (file: string, text: string) => ({ data: { [file]: text } }) as unknown;
  return {
    volumes: Object.fromEntries(
      ['data', 'tmp', 'zones', 'sealing', 'tenants'].map((name) => [name, join(path, name)]),
    ),
    files: {
      [`${NAME}-zones`]: rendered.get('ConfigMap', `${NAME}-zones`),
      'memplane-sealing': secret('master-keys', masterKeys) as Resource,
      'memplane-tenants': secret('tenants.yaml', readFileSync(tenants, 'utf8')) as Resource,
    },
    fields: {},
    secrets: () => OPERATOR,
    ...(await standalonePorts()),
  };
}

test('the standalone pod seals, tells tenants apart, reads after a restart, and erases', async () => {
  using scratch = new Scratch();
  const options = await optionsIn(scratch);
  const as = caller(options);
  const secret = `s${randomBytes(12).toString('hex')}`;
  const entity = 'order/17';
  const files = (folder: string) =>
    bytesLeft(join(scratch.path, folder), new Map([['said', formsOfText(secret)]]));
  const first = await started(options);
  try {
    const event = { type: 'Said', entity, data: { text: secret }, attributes: { said: secret } };
    await as(ACME, 201, 'POST', 7101, '/v1/events', event);
    await as('nobody', 401, 'GET', 7102, `/v1/entities/${entity}`);
    await as(OPERATOR, 404, 'GET', 7102, `/v1/entities/${entity}`);
    await said(as, entity, secret);
    const { zone } = await as(ACME_OPERATOR, 200, 'GET', 7101, `/v1/zones?entity=${entity}`);
    assert.equal(zone, 'strong');
    assert.equal((await first.end()).code, 0, first.said);
    assert.deepEqual(files('data/log'), [], 'the log has it sealed');
    assert.ok(files('data').length > 0, 'a search that would find nothing proves nothing');
  } finally {
    await first.kill();
  }
  const again = await started(options);
  try {
    await said(as, entity, secret);
    await as(ACME, 403, 'POST', 7101, '/v1/erasures', { entity });
    const { id } = await as(ACME_OPERATOR, 202, 'POST', 7101, '/v1/erasures', { entity });
    await eventually('it is read nowhere', UNREADABLE_MS_MAX, () =>
      as(ACME, 410, 'GET', 7102, `/v1/entities/${entity}`).catch(() => undefined),
    );
    await eventually('it is cleared', WAIT_MS, async () => {
      const { isDone } = await as(ACME_OPERATOR, 200, 'GET', 7101, `/v1/erasures/${id}`);
      return isDone ? true : undefined;
    });
    await again.end();
    assert.deepEqual(files('data'), []);
  } finally {
    await again.kill();
  }
});

test('without the keys of the secret nothing starts, and what was wrong is said', async () => {
  using scratch = new Scratch();
  const options = await optionsIn(scratch);
  const wrong = { data: { 'master-keys': 'k1:too-short' } } as unknown as Resource;
  const process = new ContainerProcess(pod, container, {
    ...options,
    files: { ...options.files, 'memplane-sealing': wrong },
  });
  try {
    await assert.rejects(process.until('startupProbe', 30), /MEMPLANE_SEALING_KEYS.*line 1/);
  } finally {
    await process.kill();
  }
});

async function started(options: KubeletOptions): Promise<ContainerProcess> {
  const process = new ContainerProcess(pod, container, options);
  try {
    await process.until('startupProbe');
    await process.until('readinessProbe', 30);
    return process;
  } catch (error) {
    await process.kill();
    throw error;
  }
}

async function said(as: Call, entity: string, text: string): Promise<void> {
  await eventually('the view is there', WAIT_MS, async () => {
    const { attributes } = await as(ACME, 200, 'GET', 7102, `/v1/entities/${entity}`);
    return attributes?.['said'] === text ? true : undefined;
  });
}

/** What this test reads of answers. */
interface Answer {
  readonly id?: string;
  readonly isDone?: boolean;
  readonly zone?: string;
  readonly attributes?: Readonly<Record<string, unknown>>;
}

type Call = ReturnType<typeof caller>;

function caller({ ports }: KubeletOptions) {
  return async (
    token: string,
    status: number,
    method: string,
    port: number,
    path: string,
    body?: unknown,
  ): Promise<Answer> => {
    const answer = await fetch(`http://127.0.0.1:${ports?.[port]}${path}`, {
      method,
      headers: { ...bearerOf(token), 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(WAIT_MS),
    });
    const text = await answer.text();
    assert.equal(answer.status, status, `${method} ${path}: ${answer.status} ${text}`);
    return JSON.parse(text);
  };
}
