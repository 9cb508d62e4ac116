import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { StackPlane } from './stack-plane.ts';

// Every block of code of the guides is run, as a reader would: those in bash of one guide after each
// other in one shell, those in TypeScript each as a program.
const repository = fileURLToPath(new URL('../../', import.meta.url));
const guides = globSync('docs/guides/*.md', { cwd: repository }).sort();
const TIMEOUT_MS = 90_000;
/** Shown, not run: configuration. */
const NOT_RUN = new Set(['yaml']);

let plane: StackPlane;
before(async () => {
  plane = await StackPlane.connect();
});

for (const guide of guides) {
  const blocks = blocksOf(readFileSync(join(repository, guide), 'utf8'));
  if (blocks.length === 0) continue;
  test(`${basename(guide)} does what it says`, async () => {
    const shell = blocks.filter(({ language }) => language === 'bash').map(({ code }) => code);
    if (shell.length > 0) await run('bash', ['-c', `set -euo pipefail\n${shell.join('\n')}`]);
    for (const { language, code } of blocks) {
      if (language === 'ts') await runTypeScript(code);
      else assert.ok(language === 'bash' || NOT_RUN.has(language), `a block in "${language}"`);
    }
  });
}

test('a block that does not do what it says is noticed', async () => {
  const [block] = blocksOf('```bash\necho tea | grep -q coffee\n```\n');
  await assert.rejects(run('bash', ['-c', `set -e\n${block?.code}`]), /ended with 1/);
});

function blocksOf(text: string): { readonly language: string; readonly code: string }[] {
  const found = text.matchAll(/^```(\w*)\n(.*?)^```$/gms);
  return [...found].map(([, language = '', code = '']) => ({ language, code }));
}

/** Within the repository, where its packages are found. */
async function runTypeScript(code: string): Promise<void> {
  const cache = join(repository, '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'guide-'));
  try {
    writeFileSync(join(folder, 'guide.ts'), code);
    await run(process.execPath, [join(folder, 'guide.ts')]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...plane.plans.exports };
    const options = { env, timeout: TIMEOUT_MS, encoding: 'utf8' as const };
    execFile(command, [...args], options, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const how = error.killed ? `not ready in ${TIMEOUT_MS} ms` : `ended with ${error.code}`;
      reject(new Error(`${command}: ${how}\n${stdout}${stderr}`));
    });
  });
}
