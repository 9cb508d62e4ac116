import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { type GoProgram, goBinary } from '@memplane/stack';
import { call } from '@memplane/testkit';

const RULES = path.resolve(import.meta.dirname, '../../ops/prometheus/rules.yaml');
const PROMETHEUS: GoProgram = {
  part: 'prometheus',
  version: '3.15.1',
  says: "building Prometheus's rules (half a minute to two, only once)",
  module: path.join(import.meta.dirname, 'prometheus'),
  targets: ['.'],
  sources: ['main.go'],
};

export interface Target {
  readonly job: string;
  readonly instance: string;
  readonly url: string;
}

export interface Alert {
  readonly name: string;
  readonly state: 'pending' | 'firing';
  readonly summary: string;
}

/** As long as Prometheus waits by default between two scrapes. */
const INTERVAL_MS = 15_000;
const SCRAPE_TIMEOUT_MS = 20_000;

/**
 * Prometheus's own store and rules over real instances, with a clock that leaps: each round of
 * scrapes counts as 15 s after the one before, however soon it is made. So rules hold as they are
 * written, minutes and all, and a test takes seconds.
 */
export class Prometheus implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;
  #atMs = Date.UTC(2030, 0, 1);
  targets: readonly Target[];

  private constructor(child: ChildProcess, reader: Interface, targets: readonly Target[]) {
    this.#child = child;
    this.#reader = reader;
    this.#lines = reader[Symbol.asyncIterator]();
    this.targets = targets;
  }

  static async start(folder: string, targets: readonly Target[]): Promise<Prometheus> {
    const binary = await goBinary(PROMETHEUS, 'alerts');
    const child = spawn(binary, [RULES, folder], { stdio: ['pipe', 'pipe', 'inherit'] });
    return new Prometheus(child, createInterface({ input: child.stdout }), targets);
  }

  /** One round: all targets are scraped, then all rules evaluated. */
  async round(): Promise<readonly Alert[]> {
    const scrapes = await Promise.all(
      this.targets.map(async ({ job, instance, url }) => ({
        job,
        instance,
        text: await scrape(url),
      })),
    );
    this.#atMs += INTERVAL_MS;
    this.#child.stdin?.write(`${JSON.stringify({ atMs: this.#atMs, scrapes })}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('the rules could not be evaluated');
    return JSON.parse(value) as Alert[];
  }

  /**
   * Rounds until an alert fires (or, with `isFiring` false, does not), with `between` before each.
   * @returns the last round's alerts
   * @throws Error when it does not come to that within so many minutes of its clock
   */
  async until(
    name: string,
    isFiring: boolean,
    minutes: number,
    between: () => Promise<unknown> = async () => {},
  ): Promise<readonly Alert[]> {
    for (let left = (minutes * 60_000) / INTERVAL_MS; ; left--) {
      await between();
      const alerts = await this.round();
      if (alerts.some((it) => it.name === name && it.state === 'firing') === isFiring)
        return alerts;
      if (left < 0) {
        throw new Error(
          `${name} ${isFiring ? 'does not fire' : 'goes on'}: ${JSON.stringify(alerts)}`,
        );
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin?.end();
    await ended;
    this.#reader.close();
  }
}

async function scrape(url: string): Promise<string | undefined> {
  try {
    const { status, text } = await call('GET', `${url}/metrics`, { timeoutMs: SCRAPE_TIMEOUT_MS });
    return status === 200 ? text : undefined;
  } catch {
    return undefined;
  }
}
