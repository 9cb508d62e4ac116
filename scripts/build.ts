/**
 * Builds `dist/`:
 * - `memplane.js` and the worker threads of the standalone plane, with shared chunks, so that
 *   starting it reads a few files instead of a thousand;
 * - `memplane`: a launcher, as a start with all that has to be set before it;
 * - `services/`: each service of the distributed plane, and its worker threads, bundled apart, so
 *   that the standalone plane carries no client of a server that it does not need;
 * - `client/`: the publishable client, self-contained, with its types.
 *
 * Usage: node scripts/build.ts
 */
import { spawn } from 'node:child_process';
import { chmod, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { SERVICES } from '@memplane/contracts';
import { build } from 'esbuild';
import { START_SETTINGS } from '../packages/standalone/src/start-settings.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const dist = `${root}dist`;
const standalone = `${root}packages/standalone/src`;

const started = performance.now();
await removeOldOutput();
await Promise.all([
  buildPlane(),
  writeLauncher(),
  buildServices(),
  copyLua(),
  buildClient(),
  buildClientTypes(),
]);
await writeClientManifest();
console.log(`built dist/ in ${Math.round(performance.now() - started)} ms`);

/** Keeps the folder itself: a running plane may hold its compile cache open. */
async function removeOldOutput(): Promise<void> {
  await mkdir(dist, { recursive: true });
  for (const name of await readdir(dist)) {
    await rm(`${dist}/${name}`, { recursive: true, force: true });
  }
}

function buildPlane(): Promise<void> {
  return buildPrograms(dist, {
    memplane: `${standalone}/memplane.ts`,
    'materializer-worker': `${standalone}/plane/materializer-worker.ts`,
    'vector-index-worker': `${standalone}/plane/vector-index-worker.ts`,
  });
}

/**
 * Starts `memplane.js` on the Node that was installed beside it, whichever the machine has, and with
 * what it would otherwise have to start itself anew for.
 */
async function writeLauncher(): Promise<void> {
  const environment = Object.entries(START_SETTINGS.environment)
    .map(([name, value]) => `export ${name}="\${${name}:-${value}}"`)
    .join('\n');
  const script = `#!/bin/sh
self="$0"
[ -h "$self" ] && self="$(readlink -f "$self")"
here="\${self%/*}"
node="$here/../node_modules/.bin/node"
[ -x "$node" ] || node=node
${environment}
exec "$node" ${START_SETTINGS.flags.join(' ')} "$here/memplane.js" "$@"
`;
  const path = `${dist}/memplane`;
  await writeFile(path, script);
  await chmod(path, 0o755);
}

async function buildServices(): Promise<void> {
  await buildPrograms(
    `${dist}/services`,
    Object.fromEntries(
      Object.keys(SERVICES).map((name) => [name, `${root}services/${name}/src/main.ts`]),
    ),
  );
}

/** What is loaded into Redis is read from beside the program: crdt-sync's, or a chunk of the command's. */
async function copyLua(): Promise<void> {
  const lua = `${root}services/crdt-sync/src/drivers/redis/lua`;
  for (const folder of ['services', 'chunks']) {
    await cp(lua, `${dist}/${folder}/lua`, { recursive: true });
  }
}

/** Programs, with the worker threads that services start by name beside them. */
async function buildPrograms(outdir: string, programs: Record<string, string>): Promise<void> {
  await build({
    entryPoints: {
      ...programs,
      'event-ingest-worker': `${root}services/event-ingest/src/prepare-thread/event-ingest-worker.ts`,
      'onnx-worker': `${root}services/vector-index/src/drivers/onnx/onnx-worker.ts`,
    },
    outdir,
    chunkNames: 'chunks/[name]-[hash]',
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    // Native code and WebAssembly find their binaries beside themselves, in node_modules, and so do
    // the clients of servers their WebAssembly and protocol files.
    external: [
      ...['rocksdb-native', 'onnxruntime-web'],
      ...['@platformatic/kafka', '@zilliz/milvus2-sdk-node'],
    ],
    // CommonJS packages inside an ES module still ask for `require`.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    minifySyntax: true,
    minifyWhitespace: true,
    legalComments: 'linked',
    logLevel: 'warning',
  });
}

async function buildClient(): Promise<void> {
  await build({
    entryPoints: { index: `${root}packages/client/src/index.ts` },
    outdir: `${dist}/client`,
    bundle: true,
    platform: 'neutral',
    format: 'esm',
    target: 'es2022',
    logLevel: 'warning',
  });
}

/** Types come from the compiler, with the extensions of what is published. */
async function buildClientTypes(): Promise<void> {
  const out = `${root}.cache/client-types`;
  await rm(out, { recursive: true, force: true });
  await run(`${root}node_modules/.bin/tsc`, [
    ...['-p', `${root}packages/client/tsconfig.build.json`, '--outDir', out],
  ]);
  await mkdir(`${dist}/client`, { recursive: true });
  const from = `${out}/client/src`;
  for (const name of await readdir(from)) {
    const text = await readFile(`${from}/${name}`, 'utf8');
    const published = text.replaceAll(/(from '\.\/[\w-]+)\.ts'/g, "$1.js'");
    if (published.includes('@memplane/')) throw new Error(`${name} needs another package`);
    await writeFile(`${dist}/client/${name}`, published);
  }
}

async function writeClientManifest(): Promise<void> {
  const source = JSON.parse(await readFile(`${root}packages/client/package.json`, 'utf8'));
  const manifest = {
    name: source.name,
    version: source.version,
    description: source.description,
    license: source.license,
    type: 'module',
    sideEffects: false,
    engines: { node: '>=20' },
    exports: { '.': { types: './index.d.ts', default: './index.js' } },
  };
  await writeFile(`${dist}/client/package.json`, `${JSON.stringify(manifest, null, 2)}\n`);
  await cp(`${root}LICENSE`, `${dist}/client/LICENSE`);
}

function run(command: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', reject);
    child.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`${command} ended with ${code}`));
    });
  });
}
