import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { pekkoProgram } from '../../tests/judges/pekko/program.ts';

/** A Java process that plays and measures what it is told with Pekko Distributed Data. */
export class Pekko {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>) {
    this.#child = child;
    this.#lines = lines;
  }

  static async start(): Promise<Pekko> {
    const args = ['-Xmx1g', ...(await pekkoProgram())];
    const child = spawn('java', args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: child.stdout });
    return new Pekko(child, lines[Symbol.asyncIterator]());
  }

  /** @returns the answer to the last of these lines */
  async tell(lines: readonly string[]): Promise<string> {
    let last = '';
    let missing = lines.length;
    this.#child.stdin?.write(`${lines.join('\n')}\n`);
    while (missing > 0) {
      const { done, value } = await this.#lines.next();
      if (done === true) throw new Error('the Java process has ended');
      last = value;
      missing--;
    }
    return last;
  }

  async end(): Promise<void> {
    const ended = once(this.#child, 'close');
    this.#child.stdin?.end();
    await ended;
  }
}
