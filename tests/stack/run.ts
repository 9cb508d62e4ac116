import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  otelcolPlan,
  ServerProcess,
  type StackSettings,
  stackUp,
  withScratchStack,
} from '@memplane/stack';

// Starts a whole stack on free ports in a scratch folder, runs `tests/stack/*.test.ts` (or those named
// on the command line) against it, one after the other, and takes it down again. `*.soak.test.ts` take
// long, and are run when they are named, as `make soak` does.
// MEMPLANE_STACK_KEEP=1 leaves it up, to look at what a failure left.
const here = fileURLToPath(new URL('.', import.meta.url));
const repository = fileURLToPath(new URL('../../', import.meta.url));
const named = process.argv.slice(2);
const short = { cwd: here, exclude: ['*.soak.test.ts'] };
const files = named.length > 0 ? named : globSync('*.test.ts', short).map((f) => here + f);
const say = (line: string) => console.error(`stack: ${line}`);

process.exitCode = await main();

function main(): Promise<number> {
  return withScratchStack('plane', async (scratch) => {
    // Within the stack's folder: what is in no log must not be in a trace either.
    const collector = await otelcolPlan({ dir: join(scratch.dir, 'otelcol') });
    await using _collecting = await ServerProcess.start(collector);
    const settings = { ...scratch, otlpEndpoint: collector.endpoint };
    await stackUp(settings, say);
    return await runTests(settings, collector.spansFile);
  });
}

function runTests(settings: StackSettings, spansFile: string): Promise<number> {
  const reporter = process.env['MEMPLANE_TEST_REPORTER'];
  const options = reporter ? [`--test-reporter=${reporter}`] : [];
  const args = ['--test', '--test-concurrency=1', ...options, ...files.sort()];
  const tests = spawn(process.execPath, args, {
    cwd: repository,
    env: {
      ...process.env,
      MEMPLANE_STACK_DIR: settings.dir,
      MEMPLANE_STACK_PORT_BASE: String(settings.portBase),
      MEMPLANE_STACK_SPANS: spansFile,
      // The tests start again what they killed, with the same settings.
      OTEL_EXPORTER_OTLP_ENDPOINT: settings.otlpEndpoint ?? '',
    },
    stdio: 'inherit',
  });
  return new Promise((resolve) => {
    tests.once('exit', (code) => resolve(code ?? 1));
    tests.once('error', () => resolve(1));
  });
}
