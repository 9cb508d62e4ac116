import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { planeEntry } from '@memplane/testkit';
import { blocksOf } from '../docs/blocks.ts';

const folder = path.resolve(import.meta.dirname, '../../docs/runbooks');
const TIMEOUT_MS = 120_000;
const PARTS = { confirm: 'How to confirm', act: 'What to do', over: 'How to see that it is over' };

/** The page of an alert, and its commands as an operator would run them. */
export class Runbook {
  readonly #sections: ReadonlyMap<string, string>;
  readonly #env: Readonly<Record<string, string>>;

  /** @param bin a folder of its own, for the command */
  constructor(page: string, bin: string, env: Readonly<Record<string, string>>) {
    const parts = readFileSync(path.join(folder, page), 'utf8').split(/^## /m);
    this.#sections = new Map(
      parts.slice(1).map((text) => [text.slice(0, text.indexOf('\n')), text] as const),
    );
    mkdirSync(bin, { recursive: true });
    const command = `#!/bin/sh\nexec '${process.execPath}' '${planeEntry()}' "$@"\n`;
    writeFileSync(path.join(bin, 'memplane'), command, { mode: 0o755 });
    const PATH = `${bin}:${path.dirname(process.execPath)}:${process.env['PATH']}`;
    this.#env = { PATH, HOME: bin, ...env };
  }

  /** @returns what the commands of a part printed. @throws Error when one fails */
  async run(part: keyof typeof PARTS): Promise<string> {
    const text = this.#sections.get(PARTS[part]);
    if (text === undefined) throw new Error(`the page does not say: ${PARTS[part]}`);
    const script = blocksOf('runbook', text).map(({ code }) => code);
    return new Promise((resolve, reject) => {
      const options = { env: this.#env, timeout: TIMEOUT_MS, encoding: 'utf8' as const };
      const args = ['-c', `set -euo pipefail\n${script.join('\n')}`];
      execFile('bash', args, options, (error, stdout, stderr) => {
        if (error === null) return resolve(stdout);
        reject(new Error(`${PARTS[part]}: ended with ${error.code}\n${stdout}${stderr}`));
      });
    });
  }
}
