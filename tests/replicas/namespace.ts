import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * A network namespace that a process of its own holds, so that what runs in it may end and start
 * anew. The kernel ends the holder with this process, however that ends, and the namespace with all
 * its links after the last process in it: nothing is ever left to be taken away.
 */
export class Namespace implements AsyncDisposable {
  readonly #holder: ChildProcess;

  private constructor(holder: ChildProcess) {
    this.#holder = holder;
  }

  static async create(): Promise<Namespace> {
    const hold = 'ip link set lo up && echo held && exec sleep infinity';
    const args = ['--pdeathsig', 'KILL', '--', 'unshare', '--net', 'sh', '-c', hold];
    const holder = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const namespace = new Namespace(holder);
    const ended = once(holder, 'exit').then(([code]) => {
      throw new Error(`no network namespace: its holder ended with ${code}`);
    });
    ended.catch(() => {});
    if (holder.stdout === null) throw new Error('the holder has no output');
    await Promise.race([once(holder.stdout, 'data'), ended]);
    return namespace;
  }

  /** By which `ip link` puts an end of a link here. */
  get pid(): number {
    return this.#holder.pid ?? 0;
  }

  /** What comes in front of a command that is to run in here. */
  get enter(): readonly string[] {
    return ['nsenter', `--net=/proc/${this.pid}/ns/net`];
  }

  /** Runs a shell script in here, which ends at the first command that fails. */
  async script(lines: readonly string[]): Promise<void> {
    const [command = '', ...args] = this.enter;
    await run(command, [...args, 'sh', '-e', '-c', lines.join('\n')]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    const ended = once(this.#holder, 'exit');
    this.#holder.kill('SIGKILL');
    await ended;
  }
}

/** Why this machine has no namespaces for us; undefined where it has. Tries it. */
export async function whyNoNamespaces(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
  try {
    await using one = await Namespace.create();
    await one.script([
      'ip link add name try0 type veth peer name try1',
      'tc qdisc add dev try0 root pfifo limit 0',
    ]);
    return undefined;
  } catch (error) {
    return `no network namespace: ${error}`;
  }
}
