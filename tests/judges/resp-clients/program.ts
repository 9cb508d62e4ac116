import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

const DEADLINE_MS = 60_000;

/** What the counters of a program must be in the end. */
export interface Totals {
  readonly plain: number;
  readonly ops: number;
  readonly session: number;
  readonly killed: number;
  /** Operations that were sent again. */
  readonly repeated: number;
}

/** A running client program; see README.md. */
export class Program implements Disposable {
  readonly #child: ChildProcess;
  #out = '';
  #error = '';

  constructor(command: readonly string[], args: readonly string[]) {
    const [program = '', ...before] = command;
    this.#child = spawn(program, [...before, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stdout?.on('data', (part) => {
      this.#out += String(part);
    });
    this.#child.stderr?.on('data', (part) => {
      this.#error += String(part);
    });
  }

  /** Waits for a line. @throws AssertionError with what it said, when it ends before */
  async says(line: string): Promise<void> {
    const deadline = performance.now() + DEADLINE_MS;
    while (!this.#out.split('\n').includes(line)) {
      const end = this.#child.exitCode ?? this.#child.signalCode;
      if (end !== null) assert.fail(`ended with ${end} before '${line}': ${this.#error}`);
      if (performance.now() > deadline) assert.fail(`does not say '${line}': ${this.#error}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Lets it repeat what was not answered. @throws AssertionError with what it said, when it fails */
  async finish(): Promise<Totals> {
    const closed = once(this.#child, 'close');
    this.#child.stdin?.write('repeat\n');
    await closed;
    assert.equal(this.#child.exitCode, 0, `failed: ${this.#error}`);
    return JSON.parse(this.#out.trim().split('\n').at(-1) ?? '') as Totals;
  }

  [Symbol.dispose](): void {
    this.#child.kill('SIGKILL');
  }
}
