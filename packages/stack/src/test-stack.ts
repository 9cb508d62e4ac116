import { spawn } from 'node:child_process';
import { globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startKafka } from './server/kafka.ts';

// Runs the tests that need real servers (`*.stack.test.ts`), or those named on the command line,
// beside a broker that they may share. Those that kill a broker start one of their own from
// `MEMPLANE_KAFKA_LIBS`.
const repository = fileURLToPath(new URL('../../../', import.meta.url));
const named = process.argv.slice(2);
const files =
  named.length > 0
    ? named
    : globSync(['packages/*/src/**/*.stack.test.ts', 'services/*/src/**/*.stack.test.ts'], {
        cwd: repository,
        exclude: ['**/node_modules/**'],
      }).sort();
const dir = mkdtempSync(join(tmpdir(), 'memplane-stack-'));
try {
  const { server, plan } = await startKafka({ dir, name: 'kafka shared by tests' });
  const reporter = process.env['MEMPLANE_TEST_REPORTER'];
  const how = reporter === undefined ? [] : [`--test-reporter=${reporter}`];
  const tests = spawn(process.execPath, ['--test', ...how, '--test-concurrency=1', ...files], {
    cwd: repository,
    env: {
      ...process.env,
      MEMPLANE_KAFKA_BROKERS: plan.brokers.join(','),
      MEMPLANE_KAFKA_LIBS: plan.libs,
    },
    stdio: 'inherit',
  });
  process.exitCode = await new Promise((resolve) => {
    tests.once('exit', (code) => resolve(code ?? 1));
    tests.once('error', () => resolve(1));
  });
  await server.stop();
} finally {
  rmSync(dir, { recursive: true, force: true });
}
