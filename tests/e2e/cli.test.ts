import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import {
  eventually,
  Plane,
  type PlanePorts,
  planeEntry,
  planePorts,
  ScratchFolder,
  takenPorts,
} from '@memplane/testkit';

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const TOKEN = 'a-token-of-the-test';

/** Runs the command as a script would: no terminal, any folder. */
function memplane(url: string, args: readonly string[], cwd = '/'): Promise<Run> {
  const env = { PATH: process.env['PATH'], MEMPLANE_URL: url, MEMPLANE_TOKEN: TOKEN };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [planeEntry(), ...args],
      { cwd, env: { ...env, HOME: cwd }, timeout: 60_000 },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : Number(error.code ?? -1);
        resolve({ code, stdout, stderr });
      },
    );
  });
}

/** The command finds the services on four ports in a row. */
async function portsInRow(): Promise<PlanePorts> {
  const others = await planePorts();
  for (let base = 20_000 + (process.pid % 500) * 20; base < 32_000; base += 10) {
    const row = [base, base + 1, base + 2, base + 3];
    if ((await takenPorts(row)).length > 0) continue;
    return {
      ...others,
      'event-ingest': base,
      materializer: base + 1,
      'crdt-sync': base + 2,
      'vector-index': base + 3,
    };
  }
  throw new Error('no four free ports in a row');
}

async function startPlane(folder: ScratchFolder): Promise<Plane> {
  const ports = await portsInRow();
  const dataDir = path.join(folder.path, 'data');
  return Plane.start({ dataDir, ports, env: { MEMPLANE_TOKEN: TOKEN } });
}

const COMMANDS = [
  ['import'],
  ['get'],
  ['history'],
  ['trace'],
  ['search'],
  ['query'],
  ['replay'],
  ['shards'],
  ['tail'],
  ['counters', 'list'],
  ['counters', 'get'],
  ['counters', 'incr'],
  ['counters', 'watch'],
  ['members'],
  ['alerts'],
  ['backup'],
  ['restore'],
  ['doctor'],
  ['verify'],
];

test('every command explains itself with an example, without a plane', async () => {
  const all = await memplane('http://127.0.0.1:9', ['--help']);
  assert.equal(all.code, 0);
  assert.match(all.stdout, /Exit codes/);
  const runs = await Promise.all(
    COMMANDS.map((command) => memplane('http://127.0.0.1:9', [...command, '--help'])),
  );
  for (const [i, { code, stdout }] of runs.entries()) {
    const name = COMMANDS[i]?.join(' ') ?? '';
    assert.equal(code, 0, name);
    assert.match(stdout, new RegExp(`Example:\\n {2}memplane ${name}`), name);
    assert.match(stdout, /--json/, name);
  }
});

test('wrong command lines, an absent plane and absent files have their own exit codes', async () => {
  const away = 'http://127.0.0.1:9';
  const cases: readonly (readonly [number, RegExp, string[]])[] = [
    [2, /unknown command/, ['nonsense']],
    [2, /missing required argument/, ['get']],
    [2, /must be a JSON object/, ['query', '{']],
    [2, /whole number/, ['history', 'user/1', '--limit', '1.5']],
    [2, /--interval must be/, ['counters', 'watch', '--interval', '0']],
    [4, /No plane answers.*make run/, ['get', 'user/1', '--timeout', '2']],
    [3, /no-such-file/, ['import', '/tmp/no-such-file.jsonl']],
  ];
  const runs = await Promise.all(cases.map(([, , args]) => memplane(away, args)));
  for (const [i, [code, words, args]] of cases.entries()) {
    assert.equal(runs[i]?.code, code, `${args.join(' ')}: ${runs[i]?.stderr}`);
    assert.match(runs[i]?.stderr ?? '', words);
    assert.equal(runs[i]?.stdout, '');
  }
});

const line = (i: number) =>
  JSON.stringify({
    id: `line-${i}`,
    type: 'Said',
    entity: `user/${i % 7}`,
    attributes: { turn: i, city: i % 2 === 0 ? 'Lisbon' : 'Porto' },
    memory: { id: `m${i}`, text: `note ${i} about a lantern` },
    ...(i >= 7 ? { causationId: `line-${i - 7}` } : {}),
  });

test('a script reads what it imported: JSON in lines or one document, tables without colours', async () => {
  using folder = new ScratchFolder('cli');
  await using plane = await startPlane(folder);
  const file = path.join(folder.path, 'events.jsonl');
  writeFileSync(file, `${Array.from({ length: 500 }, (_, i) => line(i)).join('\n')}\n`);
  const run = (...args: string[]) => memplane(plane.ingest, args, folder.path);
  const document = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(...args, '--json');
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return JSON.parse(stdout);
  };
  const lines = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(...args, '--json');
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    return stdout
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text));
  };

  assert.deepEqual(pick(await document('import', file)), [500, 500, 0]);
  // All is there: nothing is sent again. From the beginning: all are duplicates.
  assert.equal((await document('import', file)).appended, 0);
  assert.deepEqual(pick(await document('import', file, '--restart')), [500, 0, 500]);
  appendFileSync(file, `${line(500)}\n`);
  assert.equal((await document('import', file)).appended, 1);

  assert.equal((await document('get', 'user/3')).attributes.turn, 500);
  assert.equal((await lines('history', 'user/3', '--limit', '5')).length, 5);
  assert.ok((await document('trace', 'line-14', '--entity', 'user/0')).nodes.length >= 3);
  assert.equal((await document('search', 'lantern 42', '--top', '3')).results.length, 3);
  const { entities } = await document('query', '{"city":"Porto"}', '--prefix', 'user/');
  assert.ok(entities.length > 0);
  assert.equal((await document('shards')).shards.length, 12);
  assert.ok((await document('replay', '--entity', 'user/3')).id !== undefined);
  assert.equal((await document('counters', 'incr', 'tasks', '2')).value, 2);
  assert.equal((await document('counters', 'get', 'tasks')).value, 2);
  assert.ok((await document('counters', 'list')).length >= 1);
  assert.equal((await lines('tail', '--no-follow')).length, 501);
  const { members, quorum } = await document('members');
  assert.deepEqual([members.length, members[0].state, quorum], [1, 'alive', 1]);
  assert.deepEqual(await document('alerts'), []);
  assert.match((await run('members')).stdout, /^replica\tstate\t/);
  assert.match((await run('alerts')).stdout, /^since\tcleared\t/);

  const table = await run('get', 'user/3');
  assert.equal(table.code, 0);
  assert.ok(!table.stdout.includes('\u001b'), 'no escape codes where there is no terminal');
  assert.equal((await run('get', 'user/absent')).code, 3);
  const refused = await run('query', '{"a":{"$nonsense":1}}', '--json');
  assert.equal(refused.code, 5);
  assert.equal(JSON.parse(refused.stderr).code, 'invalid_filter');
});

const pick = (result: { lines: number; appended: number; duplicates: number }) => [
  result.lines,
  result.appended,
  result.duplicates,
];

test('an import that is cut by Ctrl-C goes on where it was', async () => {
  using folder = new ScratchFolder('cli');
  await using plane = await startPlane(folder);
  const file = path.join(folder.path, 'events.jsonl');
  const count = 20_000;
  writeFileSync(file, `${Array.from({ length: count }, (_, i) => line(i)).join('\n')}\n`);
  const env = { MEMPLANE_URL: plane.ingest, MEMPLANE_TOKEN: TOKEN, HOME: folder.path };
  const child = spawn(process.execPath, [planeEntry(), 'import', file, '--batch', '20'], {
    cwd: folder.path,
    env: { PATH: process.env['PATH'], ...env },
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  // Once something is in the log, and long before all is.
  await eventually('the import has begun', 20_000, async () => {
    const shards = await fetch(`${plane.materializer}/v1/shards`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    const { shards: all } = (await shards.json()) as { shards: { eventsTotal: number }[] };
    return all.reduce((sum, { eventsTotal }) => sum + eventsTotal, 0) > 100 || undefined;
  });
  child.kill('SIGINT');
  const code = await ended;
  assert.notEqual(code, 0, 'a cut import is no success');
  const rest = await memplane(plane.ingest, ['import', file, '--json'], folder.path);
  assert.equal(rest.code, 0, rest.stderr);
  const { lines, appended } = JSON.parse(rest.stdout);
  assert.ok(appended < count, `it began anew: ${rest.stdout}`);
  assert.equal(lines, count);
  const again = await memplane(plane.ingest, ['import', file, '--restart', '--json'], folder.path);
  assert.equal(JSON.parse(again.stdout).duplicates, count);
});

test('counters are watched until Ctrl-C: what they are, then what changes', async () => {
  using folder = new ScratchFolder('cli');
  await using plane = await startPlane(folder);
  const run = (...args: string[]) => memplane(plane.ingest, args, folder.path);
  await run('counters', 'incr', 'tasks', '5');
  const watch = (...args: string[]) => {
    const env = { MEMPLANE_URL: plane.ingest, MEMPLANE_TOKEN: TOKEN, HOME: folder.path };
    const all = [planeEntry(), 'counters', 'watch', ...args, '--interval', '0.05'];
    const child = spawn(process.execPath, all, {
      cwd: folder.path,
      env: { PATH: process.env['PATH'], ...env },
    });
    const ended = new Promise((resolve) => child.once('close', resolve));
    let printed = '';
    child.stdout.on('data', (chunk) => {
      printed += String(chunk);
    });
    const until = (count: number) =>
      eventually(`${count} lines`, 20_000, async () => {
        const found = printed.split('\n').slice(0, -1);
        return found.length >= count ? found : undefined;
      });
    return { child, ended, until };
  };
  const one = watch('tasks', '--json');
  const every = watch();
  await Promise.all([one.until(1), every.until(1)]);
  await run('counters', 'incr', 'other', '1');
  await run('counters', 'incr', 'tasks', '-2');
  const seen = (await one.until(2)).map((text) => JSON.parse(text));
  assert.deepEqual(
    seen.map(({ name, value, change }) => [name, value, change]),
    [
      ['tasks', 5, undefined],
      ['tasks', 3, -2],
    ],
  );
  const listed = (await every.until(3)).map((text) => text.split('\t').slice(1));
  assert.deepEqual(listed, [
    ['tasks', '5', ''],
    ['other', '1', ''],
    ['tasks', '3', '-2'],
  ]);
  for (const { child, ended } of [one, every]) {
    child.kill('SIGINT');
    assert.equal(await ended, 0);
  }
});
