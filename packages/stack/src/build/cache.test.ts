import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { built, cacheFolder, partFolder, type Recipe } from './cache.ts';
import { runBuild } from './command.ts';

const root = mkdtempSync(join(tmpdir(), 'memplane-cache-'));
const before0 = process.env['XDG_CACHE_HOME'];
const quiet = () => {};

before(() => {
  process.env['XDG_CACHE_HOME'] = root;
});
after(() => {
  if (before0 === undefined) delete process.env['XDG_CACHE_HOME'];
  else process.env['XDG_CACHE_HOME'] = before0;
  rmSync(root, { recursive: true, force: true });
});

function recipe(part: string, build: Recipe['build']): Recipe {
  return { part, version: '1', says: 'trying', inputs: ['x'], build };
}

test('two builds at once make one, and the folder appears whole', async () => {
  let builds = 0;
  const both = recipe('both', async (folder) => {
    builds++;
    writeFileSync(join(folder, 'a'), '');
    await sleep(20);
    assert.equal(existsSync(partFolder(both)), false);
    writeFileSync(join(folder, 'b'), '');
  });
  const results = await Promise.all([built(both, quiet), built(both, quiet), built(both, quiet)]);
  assert.equal(builds, 1);
  assert.deepEqual(new Set(results.map((one) => one.folder)).size, 1);
  assert.deepEqual(readdirSync(partFolder(both)), ['a', 'b']);
  assert.equal((await built(both, quiet)).buildMs, 0);
});

test('a build that fails leaves nothing and says why; the next one starts afresh', async () => {
  let fails = true;
  const broken = recipe('broken', async (folder) => {
    if (!fails) return;
    await runBuild({
      part: 'broken',
      command: 'sh',
      args: ['-c', 'touch half; echo no such module >&2; exit 3'],
      cwd: folder,
    });
  });
  await assert.rejects(built(broken, quiet), /broken: sh -c: ended with 3[\s\S]*no such module/);
  assert.deepEqual(
    readdirSync(cacheFolder()).filter((name) => name.startsWith('broken')),
    [],
  );
  fails = false;
  await built(broken, quiet);
});

test('a command that is not installed is named', async () => {
  const missing = { part: 'none', command: 'no-such-program', args: [], cwd: root };
  await assert.rejects(runBuild(missing), /no-such-program is not installed/);
});

test('what a killed build left is removed by the next', async () => {
  const left = recipe('left', async () => {});
  const leftover = `${partFolder(left)}.making-1`;
  mkdirSync(leftover, { recursive: true });
  await built(left, quiet);
  assert.equal(existsSync(leftover), false);
});

test('other inputs are another folder', () => {
  const one = partFolder({ part: 'p', version: '1', inputs: ['a', 'b'] });
  assert.notEqual(one, partFolder({ part: 'p', version: '1', inputs: ['ab', ''] }));
});
