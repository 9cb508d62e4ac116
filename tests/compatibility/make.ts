// Writes tests/compatibility/released anew, by running the code of the commit that is recorded there:
// a data folder and a backup of its plane, what that plane answered, what its replicas say to each
// other, and its contracts. `node tests/compatibility/make.ts [COMMIT]` records another commit.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import {
  eventually,
  Plane,
  planeDigests,
  portsInRow,
  runCommand,
  ScratchFolder,
} from '@memplane/testkit';
import { planeSettings } from './compatible-plane.ts';
import { packFolder } from './folder-file.ts';
import { readAll } from './readings.ts';
import { write } from './story.ts';

const repository = path.resolve(import.meta.dirname, '../..');
const released = path.join(import.meta.dirname, 'released');
const CONTRACTS = /^docs\/reference\/(.*\.json|errors\.md)$/;
const OF_A_RUN = new Set(['memplane.lock', 'memplane.pid', 'LOCK']);

const commit = process.argv[2] ?? readFileSync(path.join(released, 'commit'), 'utf8').trim();
const git = (...args: string[]) =>
  execFileSync('git', args, { cwd: repository, maxBuffer: 1 << 28 });
const keep = (name: string, content: string | Uint8Array) =>
  writeFileSync(path.join(released, name), content);

using scratch = new ScratchFolder('released');
const tree = path.join(scratch.path, 'tree');
checkOut(tree);
keep('commit', `${git('rev-parse', commit).toString().trim()}\n`);
keepContracts();
const said = execFileSync(process.execPath, [path.join(tree, 'tests/compatibility/wire-of.ts')]);
keep('wire.json', `${JSON.stringify(JSON.parse(said.toString()), null, 2)}\n`);
process.env['MEMPLANE_ENTRY'] = path.join(tree, 'packages/standalone/src/memplane.ts');
await keepData(path.join(scratch.path, 'data'), path.join(scratch.path, 'backup'));

/** The commit's files, with the packages that are installed here and its own beside them. */
function checkOut(folder: string): void {
  mkdirSync(folder);
  execFileSync('tar', ['-x', '-C', folder], { input: git('archive', commit) });
  const from = path.join(repository, 'node_modules');
  const to = path.join(folder, 'node_modules');
  mkdirSync(to);
  for (const name of readdirSync(from)) {
    if (name !== '@memplane') symlinkSync(path.join(from, name), path.join(to, name));
  }
  // These are links to ../../packages and ../../services, which must lead to the commit's own.
  cpSync(path.join(from, '@memplane'), path.join(to, '@memplane'), {
    recursive: true,
    verbatimSymlinks: true,
  });
  const probe = path.join(folder, 'tests/compatibility');
  mkdirSync(probe, { recursive: true });
  cpSync(path.join(import.meta.dirname, 'wire-of.ts'), path.join(probe, 'wire-of.ts'));
}

function keepContracts(): void {
  const files = git('ls-tree', '-r', '--name-only', commit, 'docs/reference')
    .toString()
    .split('\n');
  mkdirSync(path.join(released, 'contracts'), { recursive: true });
  for (const file of files.filter((name) => CONTRACTS.test(name))) {
    const text = git('show', `${commit}:${file}`).toString();
    const short = file.endsWith('.json') ? `${JSON.stringify(JSON.parse(text))}\n` : text;
    keep(path.join('contracts', path.basename(file)), short);
  }
}

async function keepData(dataDir: string, backup: string): Promise<void> {
  const env = planeSettings(scratch.path);
  const ports = await portsInRow();
  const plane = await Plane.start({ dataDir, ports, env, readyTimeoutMs: 600_000 });
  const written = await write(plane, () => planeDigests(plane));
  await eventually('what goes by the archive is archived', 30_000, async () => {
    const names = readdirSync(dataDir, { recursive: true }).map(String);
    const has = (what: RegExp) => names.some((name) => what.test(name));
    return (has(/\.segment$/) && has(/snapshot/)) || undefined;
  });
  const readings = await readAll(plane, written);
  const made = await runCommand(['backup', '--to', backup], { url: plane.ingest });
  if (made.code !== 0) throw new Error(made.stderr);
  await plane.stop();
  keep('meaning.json', `${JSON.stringify({ written, readings })}\n`);
  keep('data.json.gz', packFolder(dataDir, OF_A_RUN));
  keep('backup.json.gz', packFolder(backup));
}
