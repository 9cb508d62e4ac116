import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Answer, type CallOptions, call, eventually } from '@memplane/testkit';

const PROGRAM = fileURLToPath(new URL('../../dist/services/crdt-sync.js', import.meta.url));
const READY_MS = 60_000;
const ASK_TIMEOUT_MS = 20_000;
const OUTPUT_LENGTH_MAX = 1_000_000;
const OUTPUT_TOLD = 2_000;

export interface Alert {
  readonly time: string;
  readonly code: string;
  readonly detail: string;
  readonly subject?: string;
  readonly count: number;
  readonly clearedAt?: string;
}

export interface Member {
  readonly replica: string;
  readonly state: string;
  readonly self: boolean;
  readonly heardMs?: number;
}

interface Reconciliation {
  readonly digest: string;
  readonly differences: readonly unknown[];
  /** With each of the others. */
  readonly compared: readonly { readonly differences: readonly unknown[] }[];
}

export interface ReplicaPlan {
  readonly id: string;
  /** In front of its command. */
  readonly enter: readonly string[];
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
}

/** One process of crdt-sync. It ends with this process. */
export class Replica {
  readonly id: string;
  readonly url: string;
  readonly child: ChildProcess;
  /** The last of what it has printed. */
  output = '';

  private constructor({ id, url, enter, env }: ReplicaPlan) {
    this.id = id;
    this.url = url;
    const setpriv = ['setpriv', '--pdeathsig', 'KILL', '--'];
    const [command = '', ...args] = [...enter, ...setpriv, process.execPath, PROGRAM];
    this.child = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk) => {
        this.output = (this.output + String(chunk)).slice(-OUTPUT_LENGTH_MAX);
      });
    }
  }

  /** @throws Error with what it printed, when it ends or is not ready in time */
  static async start(plan: ReplicaPlan): Promise<Replica> {
    if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is not built: \`make build\``);
    const replica = new Replica(plan);
    await eventually(`${plan.id} is ready`, READY_MS, async () => {
      if (replica.hasEnded) throw new Error(`${plan.id} has ended:\n${replica.output}`);
      const state = await replica
        .ask('GET', '/readyz', { timeoutMs: 1_000 })
        .catch(() => undefined);
      return state?.status === 200 || undefined;
    }).catch((error) => {
      throw new Error(`${error}; it printed:\n${replica.output.slice(-OUTPUT_TOLD)}`);
    });
    return replica;
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** @throws LostAnswer */
  ask<T = unknown>(method: string, path: string, options: CallOptions = {}): Promise<Answer<T>> {
    return call<T>(method, this.url + path, { timeoutMs: ASK_TIMEOUT_MS, ...options });
  }

  /** @throws Error for any other answer */
  async get<T>(path: string): Promise<T> {
    const { status, body, text } = await this.ask<T>('GET', path);
    if (status !== 200) throw new Error(`${this.id} GET ${path}: ${status} ${text.slice(0, 500)}`);
    return body;
  }

  async members(): Promise<readonly Member[]> {
    return (await this.get<{ members: Member[] }>('/v1/members')).members;
  }

  async alerts(): Promise<readonly Alert[]> {
    return (await this.get<{ alerts: Alert[] }>('/v1/alerts')).alerts;
  }

  /** Those of the others that live as it sees them, and were heard within so long. */
  async heard(withinMs: number): Promise<string[]> {
    return (await this.members())
      .filter(({ self, state, heardMs = Infinity }) => {
        return !self && state === 'alive' && heardMs <= withinMs;
      })
      .map(({ replica }) => replica);
  }

  /** Of all values, computed anew from what is stored. @throws Error where it finds differences */
  async digest(): Promise<string> {
    const options = { body: { dryRun: true } };
    const { status, body, text } = await this.ask<Reconciliation>(
      'POST',
      '/v1/reconciliations',
      options,
    );
    const isGood = status === 200 && body.differences.length === 0;
    if (isGood && body.compared.every((other) => other.differences.length === 0))
      return body.digest;
    throw new Error(`${this.id} has no digest: ${status} ${text.slice(0, 1_000)}`);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.hasEnded) return;
    const exited = once(this.child, 'exit');
    this.child.kill(signal);
    await exited;
  }
}
