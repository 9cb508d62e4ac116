import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Seeded } from '@memplane/testkit';
import type { Namespace } from '../../replicas/namespace.ts';

const HOLDER = fileURLToPath(new URL('holder.ts', import.meta.url));

/** What a holder was answered; times are nanoseconds of one steady clock. */
export type Line =
  | { readonly kind: 'granted'; readonly token: number; readonly atNs: number }
  | {
      readonly kind: 'accepted' | 'refused';
      readonly token: number;
      readonly sentNs: number;
      readonly atNs: number;
    };

export interface HoldersOptions {
  readonly lease: string;
  readonly entity: string;
  readonly ttlMs: number;
  readonly token: string;
}

/** Holders of one lease, each a process of its own. */
export class Holders implements Disposable {
  readonly lines: Line[] = [];
  readonly #options: HoldersOptions;
  readonly #children: ChildProcess[] = [];
  readonly #endings: Promise<unknown>[] = [];

  constructor(options: HoldersOptions) {
    this.#options = options;
  }

  /** @param urls where it asks, in turn. @param within a network that may be cut */
  add(name: string, urls: readonly string[], within?: Namespace): void {
    const { lease, entity, ttlMs, token } = this.#options;
    const [command = '', ...args] = [
      ...(within?.enter ?? []),
      ...['setpriv', '--pdeathsig', 'KILL', '--', process.execPath, HOLDER],
      ...[name, lease, entity, `${ttlMs}`, ...urls],
    ];
    const env = { ...process.env, MEMPLANE_TOKEN: token };
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    lines.on('line', (line) => this.lines.push(JSON.parse(line) as Line));
    this.#children.push(child);
    this.#endings.push(new Promise((resolve) => lines.once('close', resolve)));
  }

  /** SIGSTOP: it knows of nothing meanwhile, and goes on with what it believed. */
  async freezeOne(random: Seeded, ms: number): Promise<void> {
    const child = random.pick(this.#children);
    child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, ms));
    child.kill('SIGCONT');
  }

  /** Ends them all; resolves when all that they wrote was read. */
  async end(): Promise<void> {
    this[Symbol.dispose]();
    await Promise.all(this.#endings);
  }

  [Symbol.dispose](): void {
    for (const child of this.#children) {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    }
  }
}
