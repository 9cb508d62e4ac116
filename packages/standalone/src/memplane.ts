#!/usr/bin/env node
/** The `memplane` command. Compiled code is kept, so that the next start need not compile it. */
import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';
import { startThreadEarly } from './plane/threads.ts';

if (process.env['NODE_COMPILE_CACHE'] === undefined && !import.meta.url.endsWith('.ts')) {
  const folder = fileURLToPath(new URL('.compile-cache', import.meta.url));
  // Threads, and the start after this one, know of it by the environment only.
  process.env['NODE_COMPILE_CACHE'] = folder;
  enableCompileCache(folder);
}
// Many threads with an arena each, and large young generations, hold memory that nobody uses: with
// both bounded the plane needs about half, and is no slower. Both can only be set before a start.
if (
  process.argv[2] === 'run' &&
  process.platform === 'linux' &&
  process.execve !== undefined &&
  process.env['MALLOC_ARENA_MAX'] === undefined
) {
  const flags = ['--max-semi-space-size=4', '--min-semi-space-size=4', ...process.execArgv];
  const env = { ...process.env, MALLOC_ARENA_MAX: '2' };
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
