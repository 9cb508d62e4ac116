import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, matchesGlob } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { PLANE_VERSION } from '@memplane/contracts';
import { dockerfileCheckBinary } from '@memplane/stack';
import { freePorts } from '@memplane/testkit/ports';
import { build, last, stagesOf } from './lib/dockerfile.ts';
import { chart, list, named, pods, renderFile, root } from './lib/render.ts';

// The images, without a container: what BuildKit says of their files, whether they are what the chart
// starts, and what their steps make in a clean folder: one of the images in CI, another one each day,
// and all with MEMPLANE_TEST_SCALE=soak.
const FILES: Readonly<Record<string, string>> = {
  'event-ingest': 'services/event-ingest/Dockerfile',
  materializer: 'services/materializer/Dockerfile',
  'crdt-sync': 'services/crdt-sync/Dockerfile',
  'vector-index': 'services/vector-index/Dockerfile',
  standalone: 'packages/standalone/Dockerfile',
};
const textOf = (image: string) => readFileSync(join(root, FILES[image] ?? ''), 'utf8');
const images = Object.keys(FILES);
const seed = Number(process.env['MEMPLANE_TEST_SEED'] ?? Math.floor(Date.now() / 86_400_000));
const isWhole = process.env['MEMPLANE_TEST_SCALE'] === 'soak';
const built = isWhole ? images : [images[seed % images.length] ?? ''];

const dir = mkdtempSync(join(tmpdir(), 'memplane-images-'));
before(() => copyContext(join(dir, 'context')));
after(() => rmSync(dir, { recursive: true, force: true }));

test('BuildKit’s own checks find nothing', async () => {
  const { status, stdout, stderr } = await check(
    ...Object.values(FILES).map((file) => join(root, file)),
  );
  assert.equal(stdout + stderr, '');
  assert.equal(status, 0);
});

test('they would find what is wrong', async () => {
  const file = join(dir, 'planted');
  writeFileSync(file, 'FROM node AS a\nWORKDIR app\nENV API_TOKEN=x\nCOPY $NOPE .\nCMD node x\n');
  const { status, stdout } = await check(file);
  assert.equal(status, 1);
  for (const rule of [
    'WorkdirRelativePath',
    'SecretsUsedInArgOrEnv',
    'UndefinedVar',
    'JSONArgsRecommended',
  ]) {
    assert.match(stdout, new RegExp(rule));
  }
});

for (const image of images) {
  test(`${image}: is pinned, without root, and made by the lock file`, () => {
    const text = textOf(image);
    const { devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    for (const stage of stagesOf(text)) {
      assert.equal(stage.image, `node:${devDependencies.node}-bookworm-slim`);
      for (const { name, rest } of stage.instructions) {
        assert.notEqual(name, 'ADD');
        if (name === 'RUN') assert.doesNotMatch(rest, /npm (i|install)\b|curl|wget|apt/);
      }
    }
    assert.match(last(text, 'USER'), /^[1-9]\d+:[1-9]\d+$/);
  });

  test(`${image}: starts what the chart starts, at the ports of the chart, by its user`, () => {
    const set = image === 'standalone' ? 'default' : 'distributed';
    const pod = pods(renderFile(join(chart, `ci/${set}-values.yaml`))).get(image)!['spec']!;
    const container = named(pod['containers'], image);
    assert.deepEqual(
      JSON.parse(last(textOf(image), 'CMD')),
      list(container['command']).map(String),
    );
    const exposed = new Set(last(textOf(image), 'EXPOSE').split(' '));
    const ports = list(container['ports']).map(({ containerPort, protocol }) =>
      String(protocol) === 'UDP' ? `${containerPort}/udp` : `${containerPort}`,
    );
    assert.deepEqual(exposed, new Set(ports));
    assert.equal(
      last(textOf(image), 'USER'),
      `${pod['securityContext']!['runAsUser']}:${pod['securityContext']!['runAsGroup']}`,
    );
  });
}

test("the images of services differ by their names, ports and Node's flags alone", () => {
  const [first, ...others] = images
    .filter((image) => image !== 'standalone')
    .map((image) =>
      textOf(image)
        .replaceAll(image, 'SERVICE')
        .replace(/^EXPOSE .*$/m, '')
        .replace(/ "--[^"]+",/g, ''),
    );
  for (const other of others) assert.equal(other, first);
});

test('docker-bake.hcl has each image, under the name that the chart asks for', () => {
  const text = readFileSync(join(root, 'docker-bake.hcl'), 'utf8');
  assert.ok(text.includes(`default = "${PLANE_VERSION}"`));
  const targets = new Map(
    [...text.matchAll(/^target "([\w-]+)" \{\n([\s\S]*?)^\}/gm)].map(([, name = '', body = '']) => [
      name,
      body,
    ]),
  );
  assert.deepEqual(new Set(targets.keys()), new Set(['common', ...images]));
  for (const [image, file] of Object.entries(FILES)) {
    assert.ok(targets.get(image)?.includes(`dockerfile = "${file}"`), image);
    assert.ok(targets.get(image)?.includes(`"\${REPOSITORY}/${image}:\${TAG}"`), image);
    assert.match(text, new RegExp(`targets = \\[.*"${image}".*\\]`));
  }
});

for (const image of built) {
  test(`${image}: its steps make what runs: seed ${seed}`, async (t) => {
    const started = performance.now();
    const own = mkdtempSync(join(dir, `${image}-`));
    const app = join(
      build(textOf(image), { context: join(dir, 'context'), dir: own, env: environment() }),
      'app',
    );
    t.diagnostic(`figure: the steps took ${Math.round(performance.now() - started)} ms`);
    const sbom = JSON.parse(readFileSync(join(app, 'sbom.cdx.json'), 'utf8'));
    assert.equal(sbom.bomFormat, 'CycloneDX');
    const purls: string[] = sbom.components.map(({ purl = '' }) => purl);
    const missing = externalsOf(app, image).filter((name) => !isThere(app, name));
    assert.deepEqual(missing, [], 'the program loads them');
    for (const name of externalsOf(app, image)) {
      assert.ok(
        purls.some((purl) => purl.startsWith(`pkg:npm/${name.replace('@', '%40')}@`)),
        `SBOM: ${name}`,
      );
    }
    for (const name of ['typescript', 'esbuild', '@biomejs/biome'])
      assert.ok(!isThere(app, name), name);
    await starts(image, app);
  });
}

test('a module that is missing would be found', () => {
  assert.ok(externalsOf(root, 'event-ingest').includes('@platformatic/kafka'));
  assert.deepEqual(
    new Set(externalsOf(root, 'vector-index')),
    new Set(['@zilliz/milvus2-sdk-node', 'onnxruntime-web']),
  );
  assert.deepEqual(externalsOf(root, 'crdt-sync'), ['rocksdb-native']);
  assert.ok(!isThere(join(dir, 'context'), 'rocksdb-native'));
});

async function check(...files: string[]) {
  return spawnSync(await dockerfileCheckBinary(), files, { encoding: 'utf8' });
}

/** What `.dockerignore` leaves of the repository. */
function copyContext(to: string): void {
  const lines = readFileSync(join(root, '.dockerignore'), 'utf8').split('\n');
  const rules = lines.filter((line) => line !== '' && !line.startsWith('#'));
  const taken = rules.filter((rule) => rule.startsWith('!')).map((rule) => rule.slice(1));
  const not = rules.filter((rule) => rule.startsWith('**/'));
  assert.equal(rules[0], '*');
  for (const name of taken) {
    const filter = (source: string) =>
      !not.some((rule) => matchesGlob(source.slice(root.length), rule));
    mkdirSync(dirname(join(to, name)), { recursive: true });
    cpSync(join(root, name), join(to, name), { recursive: true, filter });
  }
}

/** The image's node is this one, npm is this machine's; nothing of the test's own gets in. */
function environment(): Record<string, string> {
  const own = /^(MEMPLANE_|NODE_(ENV|OPTIONS|TEST_CONTEXT)$)/;
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (!own.test(name) && value !== undefined) env[name] = value;
  }
  const outside = (env['PATH'] ?? '').split(':').filter((part) => !part.includes('node_modules'));
  return { ...env, PATH: [dirname(process.execPath), ...outside].join(':') };
}

/** Packages that a program of `dist/` imports, or may import, by itself and by its chunks. */
function externalsOf(app: string, image: string): string[] {
  const workers = { 'event-ingest': ['event-ingest-worker'], 'vector-index': ['onnx-worker'] }[
    image
  ];
  const first =
    image === 'standalone'
      ? globSync('dist/*.js', { cwd: app })
      : [image, ...(workers ?? [])].map((name) => `dist/services/${name}.js`);
  const waiting = first.map((file) => join(app, file));
  const seen = new Set<string>();
  const externals = new Set<string>();
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (seen.has(file) || !existsSync(file)) continue;
    seen.add(file);
    const text = readFileSync(file, 'utf8');
    for (const [, name = ''] of text.matchAll(/(?:from|import\(?|resolve\()\s*"([^"]+)"/g)) {
      if (name.startsWith('.')) waiting.push(join(dirname(file), name));
      else if (/^(rocksdb-native|onnxruntime-web|@platformatic\/kafka|@zilliz\/)/.test(name)) {
        externals.add(
          name
            .split('/')
            .slice(0, name.startsWith('@') ? 2 : 1)
            .join('/'),
        );
      }
    }
  }
  return [...externals];
}

const isThere = (app: string, name: string) =>
  existsSync(join(app, 'node_modules', name, 'package.json'));

/** Starts the image's command on an empty folder, waits until it lives, and ends it. */
async function starts(image: string, app: string): Promise<void> {
  const data = mkdtempSync(join(dir, 'data-'));
  // Without Kafka the materializer reads the log of a folder, which another service makes.
  if (image === 'materializer') await startsOn(data, 'event-ingest', app);
  await startsOn(data, image, app);
}

async function startsOn(data: string, image: string, app: string): Promise<void> {
  const ports = await freePorts(6);
  const port = Number(ports[0]);
  const names = ['EVENT_INGEST', 'MATERIALIZER', 'CRDT_SYNC', 'VECTOR_INDEX'];
  const first = image === 'standalone' ? 0 : names.indexOf(image.toUpperCase().replace('-', '_'));
  const order = names.map((_, i) => names[(first + i) % names.length]);
  const [command = '', ...args] = JSON.parse(last(textOf(image), 'CMD')).map((word: string) =>
    word.replace('/app', app),
  );
  const child = spawn(command, args, {
    cwd: app,
    env: {
      ...environment(),
      NODE_ENV: 'production',
      NODE_COMPILE_CACHE: join(data, 'cache'),
      MEMPLANE_DATA_DIR: data,
      MEMPLANE_LOG_DIR: join(data, 'log'),
      MEMPLANE_MATERIALIZER_DIR: join(data, 'views'),
      MEMPLANE_VECTOR_INDEX_DIR: join(data, 'vectors'),
      MEMPLANE_RESP_PORT: String(ports[4]),
      ...Object.fromEntries(order.map((name, i) => [`MEMPLANE_${name}_PORT`, String(ports[i])])),
    },
  });
  let said = '';
  child.stdout.on('data', (part) => (said += part));
  child.stderr.on('data', (part) => (said += part));
  const ended = new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal));
  });
  try {
    for (let i = 0; ; i++) {
      assert.equal(child.exitCode, null, said);
      const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
      if (answer?.status === 200) break;
      assert.ok(i < 300, `it does not live: ${said}`);
      await sleep(100);
    }
  } finally {
    child.kill('SIGTERM');
  }
  // It lives a moment before it listens to signals; how a pod ends is the matter of another test.
  const end = await ended;
  assert.ok(end === 0 || end === 'SIGTERM', `${end}: ${said}`);
}
