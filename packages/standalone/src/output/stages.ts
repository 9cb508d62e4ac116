import { SingleBar } from 'cli-progress';

const TELL_INTERVAL_MS = 5_000;

/** Progress of work in stages: a bar at a terminal, a line now and then elsewhere; on stderr. */
export class Stages {
  readonly #bar: SingleBar | undefined;
  #name = '';
  #total = 0;
  #done = 0;
  #toldAt = 0;

  constructor() {
    if (process.stderr.isTTY !== true) return;
    const format = '{stage} {bar} {percentage}%  {value} of {total}  {eta_formatted} left';
    this.#bar = new SingleBar({ format, stream: process.stderr, hideCursor: true, etaBuffer: 200 });
    this.#bar.start(1, 0, { stage: '' });
  }

  /** @param total how much there is to do in it, in whatever unit */
  begin(name: string, total: number): void {
    this.#name = name.padEnd(16);
    this.#total = Math.max(1, total);
    this.#done = 0;
    this.#toldAt = performance.now();
    this.#bar?.setTotal(this.#total);
    this.#bar?.update(0, { stage: this.#name });
  }

  add(done: number): void {
    this.#done += done;
    if (this.#bar !== undefined) {
      this.#bar.update(Math.min(this.#done, this.#total), { stage: this.#name });
    } else if (performance.now() - this.#toldAt > TELL_INTERVAL_MS) {
      this.#toldAt = performance.now();
      const percent = Math.min(100, Math.floor((100 * this.#done) / this.#total));
      console.error(`${this.#name}${percent}%`);
    }
  }

  stop(): void {
    this.#bar?.stop();
  }
}
