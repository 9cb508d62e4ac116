import { AdmissionGate, type Ask, type GateOptions, isRefusal, type Refusal } from './gate.ts';
import { Baseline } from './gradient-limit.ts';

/** Does so many requests at once, each in so many milliseconds; the others wait within. */
export interface ServiceModel {
  readonly workers: number;
  readonly serviceMs: number;
}

export interface Client {
  readonly tenant: string;
  readonly agent?: string;
  readonly urgency?: Ask['urgency'];
  readonly bytes?: number;
  readonly kind?: Baseline;
  /** Of this client's requests, instead of the service's own. */
  readonly serviceMs?: number;
}

export interface Outcome {
  readonly client: Client;
  readonly arrivedMs: number;
  /** Undefined where it was refused. */
  readonly endedMs: number | undefined;
  readonly refusal?: Refusal;
}

interface Job {
  readonly client: Client;
  readonly start: () => void;
}

/**
 * A service of known capacity behind a gate, in simulated time: events in their order, and nothing
 * happens between them.
 */
export class SimulatedService {
  readonly gate: AdmissionGate;
  readonly outcomes: Outcome[] = [];
  nowMs = 0;
  model: ServiceModel;
  readonly #random: () => number;
  readonly #kind = new Baseline();
  readonly #events: { atMs: number; run: () => void }[] = [];
  readonly #waiting: Job[] = [];
  #busy = 0;

  constructor(model: ServiceModel, random: () => number, options: Partial<GateOptions> = {}) {
    this.model = model;
    this.#random = random;
    this.gate = new AdmissionGate({
      concurrency_min: 4,
      concurrency_max: 1_000,
      queue_requests_max: 1_000,
      queue_bytes_max: 2 ** 30,
      queueWaitMs: 500,
      ...options,
    });
    this.#sweep();
  }

  /** Requests come one by one, on average `perSecond`, each at a random time. */
  async arrive(client: Client, perSecond: number, untilMs: number): Promise<void> {
    await this.arriveAll([{ client, perSecond }], untilMs);
  }

  async arriveAll(
    streams: readonly { readonly client: Client; readonly perSecond: number }[],
    untilMs: number,
  ): Promise<void> {
    for (const { client, perSecond } of streams) {
      const again = () => {
        void this.#request(client);
        const waitMs = (-Math.log(1 - this.#random()) * 1_000) / perSecond;
        if (this.nowMs + waitMs < untilMs) this.#at(this.nowMs + waitMs, again);
      };
      this.#at(this.nowMs + this.#random(), again);
    }
    await this.runUntil(untilMs);
  }

  async runUntil(untilMs: number): Promise<void> {
    for (;;) {
      const event = this.#events[0];
      if (event === undefined || event.atMs > untilMs) break;
      this.#events.shift();
      this.nowMs = event.atMs;
      event.run();
      // What was let in begins now.
      await null;
      await null;
    }
    this.nowMs = untilMs;
  }

  async #request(client: Client): Promise<void> {
    const arrivedMs = this.nowMs;
    const {
      tenant,
      agent = 'agent',
      urgency = 'normal',
      bytes = 1_000,
      kind = this.#kind,
    } = client;
    const entered = this.gate.enter({ tenant, agent, urgency, bytes, kind }, this.nowMs);
    const permit = entered instanceof Promise ? await entered : entered;
    if (isRefusal(permit)) {
      this.outcomes.push({ client, arrivedMs, endedMs: undefined, refusal: permit });
      return;
    }
    const end = () => {
      this.#busy--;
      this.gate.leave(permit, true, this.nowMs);
      this.outcomes.push({ client, arrivedMs, endedMs: this.nowMs });
      this.#next();
    };
    const start = () => {
      const serviceMs = client.serviceMs ?? this.model.serviceMs;
      this.#at(this.nowMs + serviceMs * (0.5 + this.#random()), end);
    };
    this.#waiting.push({ client, start });
    this.#next();
  }

  #next(): void {
    while (this.#busy < this.model.workers && this.#waiting.length > 0) {
      this.#busy++;
      this.#waiting.shift()?.start();
    }
  }

  #sweep(): void {
    this.gate.sweep(this.nowMs);
    this.#at(this.nowMs + 50, () => this.#sweep());
  }

  #at(atMs: number, run: () => void): void {
    let place = this.#events.length;
    while (place > 0 && (this.#events[place - 1]?.atMs ?? 0) > atMs) place--;
    this.#events.splice(place, 0, { atMs, run });
  }
}
