import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Plane, planeEntry, SERVICE_NAMES } from '@memplane/testkit';
import { parseAllDocuments } from 'yaml';
import type { Block } from './blocks.ts';

const repository = path.resolve(import.meta.dirname, '../..');
const TIMEOUT_MS = 60_000;
const SHELL = new Set(['sh', 'bash']);
/** What a page may show beside commands: configuration, which must at least parse, and output. */
const SHOWN = new Set(['yaml', 'json', 'text']);
/** A call that is answered with an error ends the block; quietly going on would hide it. */
const CURLRC = 'fail-with-body\nshow-error\nsilent\n';

/** Somebody who follows the pages, beside a plane, in an empty folder of their own. */
export class Reader {
  readonly #plane: Plane;
  readonly #home: string;

  constructor(plane: Plane, home: string) {
    this.#plane = plane;
    this.#home = home;
    const command = `#!/bin/sh\nexec '${process.execPath}' '${planeEntry()}' "$@"\n`;
    for (const folder of ['bin', 'dist']) {
      mkdirSync(path.join(home, folder), { recursive: true });
      writeFileSync(path.join(home, folder, 'memplane'), command, { mode: 0o755 });
    }
    writeFileSync(path.join(home, '.curlrc'), CURLRC);
  }

  /**
   * Follows the blocks of a page: commands after each other in one shell, each block of TypeScript
   * as a program. @throws Error with the page and what was said
   */
  async follow(blocks: readonly Block[]): Promise<void> {
    const shell = blocks.filter(({ language }) => SHELL.has(language));
    const script = shell.map((block) => `${placeOf(block)}\n${block.code}`).join('\n');
    if (shell.length > 0) await this.#run('bash', ['-c', `set -euo pipefail\n${script}`]);
    for (const block of blocks) {
      if (block.language === 'ts') await this.#runTypeScript(block);
      if (block.language === 'json') JSON.parse(block.code);
      if (block.language === 'yaml') {
        for (const { errors } of parseAllDocuments(block.code)) assert.deepEqual(errors, []);
      }
    }
  }

  /** Within the repository, where its packages are found. */
  async #runTypeScript({ code }: Block): Promise<void> {
    const cache = path.join(repository, '.cache');
    mkdirSync(cache, { recursive: true });
    const folder = mkdtempSync(path.join(cache, 'page-'));
    try {
      writeFileSync(path.join(folder, 'page.ts'), this.#withPorts(code));
      await this.#run(process.execPath, [path.join(folder, 'page.ts')]);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** The pages name the default ports, which may be in use here. */
  #withPorts(code: string): string {
    const { ports } = this.#plane;
    const given = SERVICE_NAMES.map((name, index) => [7101 + index, ports[name]] as const);
    let text = code.replaceAll(/-p 6390\b/g, `-p ${ports.resp}`);
    for (const [port, own] of given) text = text.replaceAll(`:${port}`, `:${own}`);
    return text;
  }

  #run(command: string, args: readonly string[]): Promise<void> {
    const env = {
      PATH: `${path.join(this.#home, 'bin')}:${process.env['PATH']}`,
      HOME: this.#home,
      MEMPLANE_URL: this.#plane.ingest,
    };
    const options = { env, cwd: this.#home, timeout: TIMEOUT_MS, encoding: 'utf8' as const };
    const texts = args.map((text) => this.#withPorts(text));
    return new Promise((resolve, reject) => {
      execFile(command, texts, options, (error, stdout, stderr) => {
        if (!error) return resolve();
        const how = error.killed ? `not ready in ${TIMEOUT_MS} ms` : `ended with ${error.code}`;
        reject(new Error(`${how}\n${stdout}${stderr}`));
      });
    });
  }
}

/** So that what is said of a line names the page's own. */
const placeOf = ({ page, line }: Block) => `: '${page}:${line}'`;

/** What is wrong with how a block is marked, or undefined. */
export function markProblem(block: Block, readTest: (test: string) => string | undefined) {
  const { run, language } = block;
  if (run.how === 'not') return undefined;
  if (run.how === 'elsewhere') {
    const text = readTest(run.test);
    if (text === undefined) return `there is no ${run.test}`;
    const names = [path.basename(block.page), path.basename(path.dirname(block.page))];
    return names.some((name) => text.includes(name)) ? undefined : `${run.test} runs other pages`;
  }
  if (SHELL.has(language) || SHOWN.has(language) || language === 'ts') return undefined;
  return `nobody can run a block in "${language}": name its language, or say why it is not run`;
}
