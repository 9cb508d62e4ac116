import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePortBase } from '@memplane/testkit/ports';
import type { StackSettings } from './settings.ts';
import { stackDown } from './up.ts';

/**
 * Gives a stack a folder and ports of its own, which the work brings up. However the work ends, by
 * Ctrl-C too, the stack is taken down and its data goes. MEMPLANE_STACK_KEEP=1 leaves it up.
 * @param name goes into the folder's name
 */
export async function withScratchStack<T>(
  name: string,
  work: (settings: StackSettings) => Promise<T>,
): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), `memplane-${name}-`));
  const settings: StackSettings = { dir, portBase: await freePortBase() };
  const end = async () => {
    if (process.env['MEMPLANE_STACK_KEEP'] === '1') {
      const { portBase } = settings;
      console.error(`left up: MEMPLANE_STACK_DIR=${dir} MEMPLANE_STACK_PORT_BASE=${portBase}`);
      return;
    }
    await stackDown(settings, true, () => {});
    rmSync(dir, { recursive: true, force: true });
  };
  const signalled = () => void end().finally(() => process.exit(130));
  process.once('SIGINT', signalled);
  process.once('SIGTERM', signalled);
  try {
    return await work(settings);
  } finally {
    process.off('SIGINT', signalled);
    process.off('SIGTERM', signalled);
    await end();
  }
}
