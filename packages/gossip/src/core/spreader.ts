import { type Core, Ticker } from './core.ts';
import { isLive, verdictOn } from './member-table.ts';
import type { Post } from './post.ts';

/** So many times as often may news be sent while urgent ones come in. */
const HASTE = 4;

/** Sends news to some members at random in each interval, besides what rides in the probes. */
export class Spreader {
  readonly #core: Core;
  readonly #post: Post;
  readonly #ticker: Ticker;

  constructor(core: Core, post: Post) {
    this.#core = core;
    this.#post = post;
    this.#ticker = new Ticker(
      core.timers,
      () => core.settings.gossipIntervalMs,
      () => this.#tick(),
    );
  }

  start(): void {
    this.#ticker.start(this.#core.random);
  }

  /** An accusation, and what refutes one, does not wait for the next interval at each hop. */
  hasten(): void {
    this.#ticker.hasten(this.#core.settings.gossipIntervalMs / HASTE);
  }

  stop(): void {
    this.#ticker.stop();
  }

  #tick(): void {
    const { settings, table, timers } = this.#core;
    const deadSinceMs = timers.now() - settings.gossipToTheDeadMs;
    const targets = table.pick(
      settings.gossipNodes,
      (record) => isLive(record) || (record.status === 'dead' && record.changedMs > deadSinceMs),
    );
    for (const target of targets) this.#post.news(target, verdictOn(target));
  }
}
