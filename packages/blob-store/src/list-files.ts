import type { Dirent } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * The names of all files below a folder, in byte order of the whole names (as object stores list
 * them), that begin with `prefix` and come after `after`. Reads one folder of the path at a time.
 */
export async function* walk(
  root: string,
  folder: string,
  prefix: string,
  after: string,
): AsyncGenerator<string> {
  let entries: Dirent[];
  try {
    entries = await readdir(join(root, folder), { withFileTypes: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return;
    throw error;
  }
  // A folder counts with its slash: `a-b` comes before `a/c`, though `a` comes before `a-b`.
  const names = entries
    .filter((entry) => !entry.name.startsWith('.') && (entry.isFile() || entry.isDirectory()))
    .map((entry) => folder + entry.name + (entry.isDirectory() ? '/' : ''))
    .sort((a, b) => (a < b ? -1 : 1));
  for (const name of names) {
    if (!name.endsWith('/')) {
      if (name.startsWith(prefix) && name > after) yield name;
      continue;
    }
    const mayHold = name.startsWith(prefix) || prefix.startsWith(name);
    const mayFollow = name > after || after.startsWith(name);
    if (mayHold && mayFollow) yield* walk(root, name, prefix, after);
  }
}
