import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { GossipSettings } from '@memplane/gossip';
import { goBinary } from '@memplane/stack';

/** Whose members a host has. */
export type Side = 'gossip' | 'memberlist';

export interface HostOptions {
  /** memberlist takes those that it has too; `stallMs` and the bounds are ours alone. */
  readonly settings: Partial<GossipSettings>;
  /** The part of all datagrams that is lost, each as it leaves its sender. */
  readonly lossRate: number;
  /** Each datagram leaves up to so many milliseconds late. */
  readonly delayMaxMs: number;
  readonly seed: number;
}

export type Command =
  | { readonly op: 'start'; readonly id: string; readonly cluster: string; readonly join: string[] }
  | { readonly op: 'begin' }
  | { readonly op: 'join'; readonly id: string; readonly join: string[] }
  | { readonly op: 'kill' | 'starve' | 'feed'; readonly id: string };

/** What a host says. `id` is the member that it happened to, or that came to believe it. */
export interface Line {
  readonly event: 'started' | 'joined' | 'killed' | 'alive' | 'dead' | 'left' | 'error';
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly about?: string;
  readonly address?: string;
  readonly detail?: string;
}

const START_TIMEOUT_MS = 30_000;
const ANSWERS: ReadonlySet<Line['event']> = new Set(['started', 'joined', 'killed']);

/** One process with any number of members of one side. */
export class Host {
  readonly #child: ChildProcess;
  readonly #onLine: (line: Line) => void;
  readonly #waiting = new Map<string, PromiseWithResolvers<Line>>();

  /** @internal Made by {@link Host.spawn}. */
  constructor(child: ChildProcess, onLine: (line: Line) => void) {
    this.#child = child;
    this.#onLine = onLine;
    if (child.stdout === null) throw new Error('the host has no output');
    createInterface({ input: child.stdout }).on('line', (line) =>
      this.#take(JSON.parse(line) as Line),
    );
    child.once('exit', (code, signal) => {
      const error = new Error(`a host ended: ${code ?? signal}`);
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    });
  }

  static async spawn(
    side: Side,
    options: HostOptions,
    onLine: (line: Line) => void,
  ): Promise<Host> {
    const [program, ...args] = await commandOf(side);
    const child = spawn(program, [...args, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    return new Host(child, onLine);
  }

  /** Starts a member and lets it join by these addresses; gives its own address. */
  async start(id: string, cluster: string, join: string[]): Promise<string> {
    const { address } = await this.#ask({ op: 'start', id, cluster, join });
    if (address === undefined) throw new Error(`${id} started without an address`);
    return address;
  }

  /** Lets a member exchange lists with these once more. */
  async join(id: string, join: string[]): Promise<void> {
    await this.#ask({ op: 'join', id, join });
  }

  /** Ends a member without a leave; gives when that was, in milliseconds since 1970. */
  async kill(id: string): Promise<number> {
    return (await this.#ask({ op: 'kill', id })).atMs;
  }

  /** From now on datagrams get lost and late, as the options say. */
  begin(): void {
    this.#tell({ op: 'begin' });
  }

  /** Lets a member's timers run, but neither read nor send. */
  starve(id: string): void {
    this.#tell({ op: 'starve', id });
  }

  feed(id: string): void {
    this.#tell({ op: 'feed', id });
  }

  /** Takes the processor from the whole process, as the kernel does on an overloaded machine. */
  stop(): void {
    this.#child.kill('SIGSTOP');
  }

  continue(): void {
    this.#child.kill('SIGCONT');
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }

  #ask(command: Extract<Command, { id: string }>): Promise<Line> {
    const waiting = Promise.withResolvers<Line>();
    const timeout = setTimeout(
      () => waiting.reject(new Error(`no answer to ${command.op} ${command.id}`)),
      START_TIMEOUT_MS,
    );
    this.#waiting.set(command.id, waiting);
    this.#tell(command);
    return waiting.promise.finally(() => clearTimeout(timeout));
  }

  #tell(command: Command): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  #take(line: Line): void {
    const waiting = this.#waiting.get(line.id);
    if (ANSWERS.has(line.event)) waiting?.resolve(line);
    else if (line.event === 'error') waiting?.reject(new Error(`${line.id}: ${line.detail}`));
    else this.#onLine(line);
  }
}

/** The program of a side; memberlist's is built at its first use. */
async function commandOf(side: Side): Promise<[string, ...string[]]> {
  const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  if (side === 'gossip') return [process.execPath, here('gossip-host.ts')];
  const program = {
    part: 'memberlist',
    version: '0.7.0',
    says: 'building the host of its members (half a minute, only once)',
    module: here('.'),
    targets: ['.'],
    sources: ['main.go'],
  };
  return [await goBinary(program, 'memberlist-host')];
}
