import { setTimeout as sleep } from 'node:timers/promises';
import { Host, type HostOptions, type Line, type Side } from './host.ts';

/** A member that another holds for dead. */
export interface Death {
  readonly observer: string;
  readonly about: string;
  readonly atMs: number;
}

const POLL_MS = 10;

/** Clusters of one side in one or more processes, and what their members believe of each other. */
export class Clusters implements AsyncDisposable {
  readonly deaths: Death[] = [];
  readonly #side: Side;
  readonly #options: HostOptions;
  readonly #hosts: Host[] = [];
  /** By observer: who lives in its eyes. */
  readonly #alive = new Map<string, Set<string>>();

  constructor(side: Side, options: HostOptions) {
    this.#side = side;
    this.#options = options;
  }

  async addHost(): Promise<Host> {
    const host = await Host.spawn(this.#side, this.#options, (line) => this.#take(line));
    this.#hosts.push(host);
    return host;
  }

  /** How many others live in a member's eyes. */
  aliveFor(observer: string): number {
    return this.#alive.get(observer)?.size ?? 0;
  }

  /** Waits until each of these members counts so many others as alive. */
  async converge(ids: readonly string[], others: number, limitMs: number): Promise<void> {
    const all = () => ids.every((id) => this.aliveFor(id) === others);
    await until(all, limitMs, () => {
      const counts = ids.map((id) => this.aliveFor(id)).join(' ');
      return `not all ${this.#side} members count ${others} others: ${counts}`;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.close()));
  }

  #take({ event, id, about, atMs }: Line): void {
    if (about === undefined) return;
    const alive = this.#alive.get(id) ?? new Set();
    this.#alive.set(id, alive);
    if (event === 'alive') alive.add(about);
    else alive.delete(about);
    if (event === 'dead') this.deaths.push({ observer: id, about, atMs });
  }
}

/** Waits until something holds. @throws Error with what is told when it does not. */
export async function until(
  holds: () => boolean,
  limitMs: number,
  told: () => string,
): Promise<void> {
  const startMs = performance.now();
  while (!holds()) {
    if (performance.now() - startMs > limitMs) throw new Error(told());
    await sleep(POLL_MS);
  }
}
