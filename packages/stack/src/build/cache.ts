import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { withBuildLock } from './lock.ts';

/** A part that is built once and then taken from the user's cache folder. */
export interface Recipe {
  /** E.g. `kafka`; with the version and a digest of `inputs` it names the folder. */
  readonly part: string;
  readonly version: string;
  /** What the first build does and how long that takes, for the user who waits. */
  readonly says: string;
  /** Contents that the result depends on: lock files, sources, flags. */
  readonly inputs: readonly string[];
  /** Fills an empty folder. What it throws is what the user reads. */
  readonly build: (folder: string) => Promise<void>;
}

export interface BuiltPart {
  readonly folder: string;
  /** 0 when it was there already. */
  readonly buildMs: number;
}

export function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'memplane');
}

/**
 * The folder of a built part, made first if it is not there. It appears whole or not at all: the
 * build goes into a folder of its own that is renamed at the end. Builds of the same part wait for
 * each other.
 *
 * @throws Error with the last lines of the build's log
 */
export async function built(
  recipe: Recipe,
  say: (line: string) => void = (line) => console.error(line),
): Promise<BuiltPart> {
  const folder = partFolder(recipe);
  if (existsSync(folder)) return { folder, buildMs: 0 };
  mkdirSync(dirname(folder), { recursive: true });
  return withBuildLock(
    folder,
    () => say(`${recipe.part}: another build is under way`),
    async () => {
      if (existsSync(folder)) return { folder, buildMs: 0 };
      removeLeftovers(folder);
      say(`${recipe.part} ${recipe.version}: ${recipe.says}`);
      const started = performance.now();
      const making = `${folder}.making-${process.pid}`;
      mkdirSync(making);
      try {
        await recipe.build(making);
        renameSync(making, folder);
      } finally {
        rmSync(making, { recursive: true, force: true });
      }
      const buildMs = performance.now() - started;
      say(`${recipe.part} ${recipe.version}: done in ${(buildMs / 1000).toFixed(1)} s`);
      return { folder, buildMs };
    },
  );
}

export function partFolder(recipe: Pick<Recipe, 'part' | 'version' | 'inputs'>): string {
  const digest = createHash('sha256').update(JSON.stringify(recipe.inputs)).digest('hex');
  return join(cacheFolder(), `${recipe.part}-${recipe.version}-${digest.slice(0, 12)}`);
}

/** What builds left behind that were killed; under the lock, so nobody is writing there. */
function removeLeftovers(folder: string): void {
  const parent = dirname(folder);
  const prefix = `${folder.slice(parent.length + 1)}.making-`;
  for (const name of readdirSync(parent)) {
    if (name.startsWith(prefix)) rmSync(join(parent, name), { recursive: true, force: true });
  }
}
