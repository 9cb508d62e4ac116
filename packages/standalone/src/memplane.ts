#!/usr/bin/env node
/** The `memplane` command. Compiled code is kept, so that the next start need not compile it. */
import { enableCompileCache } from 'node:module';

if (process.env['NODE_COMPILE_CACHE'] === undefined && !import.meta.url.endsWith('.ts')) {
  enableCompileCache(new URL('.compile-cache', import.meta.url).pathname);
}
// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? 0 : 1);
});
const { main } = await import('./cli.ts');
await main(process.argv);
