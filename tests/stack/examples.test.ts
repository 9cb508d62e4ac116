import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { built } from '@memplane/stack';
import { ScratchFolder } from '@memplane/testkit';
import { StackPlane } from './stack-plane.ts';

// Agents of other teams, each in its own language and with nothing but its sidecar; each checks its
// own result and says so with its exit code.
const examples = fileURLToPath(new URL('../../examples/', import.meta.url));
const BUILD_TIMEOUT_MS = 300_000;
const RUN_TIMEOUT_MS = 150_000;

let plane: StackPlane;
before(async () => {
  plane = await StackPlane.connect();
});

test('an agent in bash, with curl', async () => {
  await runAgent('bash', [join(examples, 'curl', 'agent.sh')]);
});

test('an agent in TypeScript, with @memplane/client', async () => {
  await runAgent(process.execPath, [join(examples, 'typescript', 'agent.ts')]);
});

test('an agent in Python, with dapr', async () => {
  await runAgent(await pythonWithDapr(), [join(examples, 'python', 'agent.py')]);
});

test('an agent in Go, with go-sdk', async () => {
  using folder = new ScratchFolder('go-agent');
  const program = join(folder.path, 'agent');
  const cwd = join(examples, 'go');
  await run('go', ['build', '-mod=readonly', '-o', program, '.'], cwd, BUILD_TIMEOUT_MS);
  await runAgent(program, []);
});

test('an agent notices that the plane is not there', async () => {
  const { endpoint } = plane;
  const wrong = { DAPR_HTTP_ENDPOINT: endpoint.replace(/\d+$/, '1'), DAPR_API_TOKEN: 'x' };
  await assert.rejects(runAgent('bash', [join(examples, 'curl', 'agent.sh')], wrong), /ended with/);
});

async function runAgent(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = plane.plans.exports,
): Promise<void> {
  const said = await run(command, args, examples, RUN_TIMEOUT_MS, env);
  assert.match(said, /agent: .* all/, said);
}

/** Its own interpreter with the locked packages, made once and kept in the cache. */
async function pythonWithDapr(): Promise<string> {
  const requirements = join(examples, 'python', 'requirements.txt');
  const { folder } = await built({
    part: 'example-python',
    version: '1',
    says: 'installing the client of Dapr for Python (about half a minute, only once)',
    inputs: [readFileSync(requirements, 'utf8')],
    async build(making) {
      // With the packages in a folder of their own: an environment can't be moved once it is made.
      const args = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
      const target = ['--target', join(making, 'packages'), '-r', requirements];
      await run('python3', [...args, ...target], making, BUILD_TIMEOUT_MS);
    },
  });
  process.env['PYTHONPATH'] = join(folder, 'packages');
  return 'python3';
}

function run(
  command: string,
  args: readonly string[],
  cwd: string,
  timeout: number,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { cwd, timeout, env: { ...process.env, ...env }, encoding: 'utf8' as const };
    execFile(command, [...args], options, (error, stdout, stderr) => {
      if (!error) return resolve(stdout + stderr);
      const how = error.killed ? `not ready in ${timeout} ms` : `ended with ${error.code}`;
      reject(new Error(`${command} ${args[0] ?? ''}: ${how}\n${stdout}${stderr}`));
    });
  });
}
