#!/usr/bin/env node
/** The `memplane` command. Compiled code is kept, so that the next start need not compile it. */
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';
import { startThreadEarly } from './plane/threads.ts';
import { START_SETTINGS } from './start-settings.ts';

if (process.env['NODE_COMPILE_CACHE'] === undefined && !import.meta.url.endsWith('.ts')) {
  const folder = fileURLToPath(new URL('.compile-cache', import.meta.url));
  // Threads, and the start after this one, know of it by the environment only.
  process.env['NODE_COMPILE_CACHE'] = folder;
  enableCompileCache(folder);
}
// Where the launcher beside this program has not set it, the plane starts itself anew with it.
if (
  process.argv[2] === 'run' &&
  process.platform === 'linux' &&
  process.execve !== undefined &&
  process.env['MALLOC_ARENA_MAX'] === undefined
) {
  const flags = [...START_SETTINGS.flags, ...process.execArgv];
  const env = { ...process.env, ...START_SETTINGS.environment };
  process.execve(process.execPath, [process.execPath, ...flags, ...process.argv.slice(1)], env);
}
// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});
// What most of a start waits for begins first.
if (process.argv[2] === 'run') startThreadEarly('materializer');
const { main } = await import('./cli.ts');
await main(process.argv);
