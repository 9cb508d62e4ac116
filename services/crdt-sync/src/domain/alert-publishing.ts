import type { CrdtAlert } from '@memplane/contracts';
import { type Alerts, shown } from './alerts.ts';

/** Where alerts are told, e.g. the topic `memory-alerts`. */
export interface AlertSink {
  /** Resolves when all are there for good. @throws MemplaneError; some may be there then */
  publish(alerts: readonly CrdtAlert[]): Promise<void>;
}

/**
 * Tells each change of an alert at least once: it is kept as unpublished before it is told, and
 * marked only when the sink has it. What is told is the alert as it is then: of changes in quick
 * succession only the last. Bounded by the number of alerts kept.
 */
export class AlertPublishing {
  readonly #alerts: Alerts;
  readonly #sink: AlertSink;
  #running: Promise<void> | undefined;

  constructor(alerts: Alerts, sink: AlertSink) {
    this.#alerts = alerts;
    this.#sink = sink;
  }

  /** One at a time; who calls meanwhile waits for the one under way. @throws as the sink does */
  run(): Promise<void> {
    this.#running ??= this.#publish().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #publish(): Promise<void> {
    const waiting = this.#alerts.unpublished();
    if (waiting.length === 0) return;
    // An alert may be about the storage itself: that it can't be kept is no reason not to tell it.
    await this.#alerts.save().catch(() => {});
    await this.#sink.publish(waiting.map(shown));
    this.#alerts.markPublished(waiting);
    await this.#alerts.save().catch(() => {});
  }
}
