import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The longest that one step may take. */
const STEP_MS = 120_000;

export interface Instruction {
  readonly name: string;
  readonly rest: string;
}

export interface Stage {
  readonly image: string;
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
}

/** The stages of a Dockerfile without heredocs; BuildKit's own parser is asked apart. */
export function stagesOf(text: string): Stage[] {
  const lines = text
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const args = new Map<string, string>();
  const stages: { image: string; name: string | undefined; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [, name = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line) ?? [];
    const stage = stages.at(-1);
    if (name === 'FROM') {
      const [, image = '', as] = /^(\S+)(?: AS (\S+))?$/.exec(filled(rest, args)) ?? [];
      stages.push({ image, name: as, instructions: [] });
    } else if (stage === undefined) {
      const [key = '', value = ''] = rest.split('=');
      args.set(key, value);
    } else {
      stage.instructions.push({ name, rest });
    }
  }
  return stages;
}

const filled = (text: string, args: ReadonlyMap<string, string>) =>
  text.replaceAll(/\$\{(\w+)\}/g, (_all, name) => args.get(name) ?? '');

/** The last one of its kind in the last stage. */
export function last(text: string, name: string): string {
  const found =
    stagesOf(text)
      .at(-1)
      ?.instructions.filter((each) => each.name === name) ?? [];
  return found.at(-1)?.rest ?? '';
}

export interface BuildOptions {
  readonly context: string;
  /** Each stage gets a folder here that stands for its root. */
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Does what a Dockerfile says, without a container: each stage in a folder of its own, `RUN` by the
 * shell of this machine. Returns the folder of the last one.
 * @throws Error with what the command that failed has said
 */
export function build(text: string, options: BuildOptions): string {
  let root = '';
  for (const [i, stage] of stagesOf(text).entries()) {
    root = join(options.dir, stage.name ?? String(i));
    let folder = root;
    for (const { name, rest } of stage.instructions) {
      if (name === 'WORKDIR') {
        folder = join(root, rest);
        mkdirSync(folder, { recursive: true });
      } else if (name === 'COPY') copy(rest, folder, options);
      else if (name === 'RUN') run(rest, folder, root, options.env);
      else if (!['ENV', 'USER', 'EXPOSE', 'CMD'].includes(name)) throw new Error(`${name} ${rest}`);
    }
  }
  return root;
}

function copy(rest: string, folder: string, { context, dir }: BuildOptions): void {
  const words = rest.split(' ');
  const from = words[0]?.startsWith('--from=') ? words.shift()?.slice('--from='.length) : undefined;
  const to = words.pop() ?? '';
  for (const word of words) {
    const source = from === undefined ? join(context, word) : join(dir, from, word);
    const target = to.endsWith('/') ? join(folder, to, word) : join(folder, to);
    mkdirSync(dirname(target), { recursive: true });
    cpSync(source, target, { recursive: true, verbatimSymlinks: true });
  }
}

function run(rest: string, folder: string, root: string, env: Readonly<Record<string, string>>) {
  const command = rest
    .replaceAll(/--mount=\S+ /g, '')
    .replaceAll(/(^|\s)\/data\b/g, `$1${join(root, 'data')}`);
  const { status, stdout, stderr } = spawnSync('sh', ['-ec', command], {
    cwd: folder,
    env,
    encoding: 'utf8',
    timeout: STEP_MS,
  });
  if (status !== 0)
    throw new Error(`${command}: ${status ?? 'took too long'}\n${stdout}\n${stderr}`);
}
