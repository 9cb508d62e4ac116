import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { built, runBuild } from '@memplane/stack';
import { chart, root } from '../helm/lib/render.ts';

/** One version of the plane, as its images and its chart would hold it. */
export interface Version {
  readonly name: string;
  /** Stands for `/app` of its images. */
  readonly app: string;
  readonly chart: string;
}

const COMMIT_FILE = 'tests/upgrade/version-before';

export const NOW: Version = { name: 'now', app: root, chart };

/**
 * The recorded commit, checked out, installed and built as its own Makefile would; once, into the
 * user's cache folder.
 * @throws Error that says what to do where this clone does not have the commit
 */
export async function versionBefore(): Promise<Version> {
  const commit = readFileSync(join(root, COMMIT_FILE), 'utf8').trim();
  const short = commit.slice(0, 12);
  requireCommit(commit);
  const { folder } = await built({
    part: 'version-before',
    version: short,
    says: 'installing and building the version before (one to three minutes, only once)',
    inputs: [commit, process.version],
    build: async (target) => {
      const tar = execFileSync('git', ['archive', commit], { cwd: root, maxBuffer: 1 << 28 });
      execFileSync('tar', ['-x', '-C', target], { input: tar });
      const run = (part: string, command: string, ...args: string[]) =>
        runBuild({ part: `version-before-${part}`, command, args, cwd: target });
      await run('install', 'npm', 'ci', '--prefer-offline', '--no-audit', '--no-fund');
      await run('build', join(target, 'node_modules/.bin/node'), 'scripts/build.ts');
    },
  });
  return { name: `before (${short})`, app: `${folder}/`, chart: join(folder, 'helm/memplane') };
}

function requireCommit(commit: string): void {
  try {
    execFileSync('git', ['cat-file', '-e', `${commit}^{commit}`], { cwd: root, stdio: 'ignore' });
  } catch (cause) {
    throw new Error(
      `This clone does not have ${commit}, the version before (${COMMIT_FILE}). A shallow clone ` +
        'gets it by: git fetch --unshallow',
      { cause },
    );
  }
}
