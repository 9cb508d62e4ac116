import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const requirements = fileURLToPath(new URL('requirements.txt', import.meta.url));

/** Installs the locked judge into the user's cache, once, and says where its command is. */
export function installSchemathesis(): string {
  const name = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const home = join(cache, 'memplane', 'judges', `schemathesis-${name}`);
  const command = join(home, 'bin', 'schemathesis');
  if (!existsSync(join(home, 'installed'))) {
    console.log('# installing schemathesis (once, under a minute)');
    rmSync(home, { recursive: true, force: true });
    run('python3', ['-m', 'venv', home]);
    run(join(home, 'bin', 'pip'), ['install', '--quiet', '--no-deps', '-r', requirements]);
    run('touch', [join(home, 'installing')]);
    renameSync(join(home, 'installing'), join(home, 'installed'));
  }
  return command;
}

export interface JudgeOptions {
  readonly command: string;
  /** The service, e.g. `http://127.0.0.1:7101`. */
  readonly url: string;
  readonly examplesPerOperation: number;
  readonly seed: number;
}

export interface Verdict {
  readonly passed: boolean;
  /** Requests that were made and answered. */
  readonly cases: number;
  readonly output: string;
}

const CHECKS = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
].join(',');

/** Lets the judge make up calls from the service's own `/openapi.json` and look at the answers. */
export async function judge(options: JudgeOptions): Promise<Verdict> {
  const args = [
    'run',
    `${options.url}/openapi.json`,
    '--url',
    options.url,
    '--checks',
    CHECKS,
    '--phases',
    'examples,coverage,fuzzing',
    '--max-examples',
    String(options.examplesPerOperation),
    '--seed',
    String(options.seed),
    '--request-timeout',
    '40',
    '--suppress-health-check',
    'all',
    '--generation-database',
    'none',
    '--no-color',
    '--warnings',
    'off',
  ];
  const child = spawn(options.command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout.on('data', (part: Buffer) => {
    output += part.toString();
  });
  child.stderr.on('data', (part: Buffer) => {
    output += part.toString();
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const cases = Number(/([\d,]+) generated/.exec(output)?.[1]?.replaceAll(',', '') ?? 0);
  // A call that was made up may be 100 kB long, and is told several times.
  const told = output.replace(/^(.{600}).*$/gm, '$1…');
  return { passed: code === 0, cases, output: told };
}

function run(program: string, args: string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
