import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/**
 * Where the plane keeps everything: `MEMPLANE_DATA_DIR`, else `memplane` in the user's data home as
 * the platform has it (XDG_DATA_HOME or ~/.local/share; ~/Library/Application Support; LOCALAPPDATA).
 */
export function dataDirOf(
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform = process.platform,
  /** Asked only where it matters: a user without an entry in the system's list has none. */
  home: () => string = homedir,
): string {
  const given = env['MEMPLANE_DATA_DIR'];
  if (given) return resolve(given.startsWith('~/') ? join(home(), given.slice(2)) : given);
  return join(dataHome(env, platform, home), 'memplane');
}

function dataHome(
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform,
  home: () => string,
): string {
  if (platform === 'darwin') return join(home(), 'Library', 'Application Support');
  if (platform === 'win32') return env['LOCALAPPDATA'] || join(home(), 'AppData', 'Local');
  return env['XDG_DATA_HOME'] || join(home(), '.local', 'share');
}
