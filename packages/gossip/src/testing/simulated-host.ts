import type { Cancel, ExchangeOutcome, Timers, Transport, TransportHandler } from '../ports.ts';
import type { SimulatedNetwork } from './simulated-network.ts';

/** What the system's buffer of a socket holds while the process does not read. */
const SOCKET_PACKETS_MAX = 256;

/**
 * A machine with one process: its clock runs at its own rate, and it can be paused, as by a busy
 * processor, or killed. After a pause the timers that came due run first and the waiting packets
 * afterwards, which is the order of Node's event loop, and the unkind one.
 */
export class SimulatedHost implements Transport, Timers {
  readonly address: string;
  readonly #network: SimulatedNetwork;
  /** Milliseconds of its own clock for one of true time. */
  readonly #rate: number;
  #handler: TransportHandler | undefined;
  #paused = false;
  #dueTimers: (() => void)[] = [];
  #waiting: (() => void)[] = [];
  up = true;

  constructor(network: SimulatedNetwork, address: string, rate = 1) {
    this.#network = network;
    this.address = address;
    this.#rate = rate;
    network.attach(this);
  }

  now(): number {
    return this.#network.time.nowMs * this.#rate;
  }

  after(delayMs: number, run: () => void): Cancel {
    let live = true;
    const guarded = () => {
      if (live) run();
    };
    const cancel = this.#network.time.after(delayMs / this.#rate, () => {
      if (!this.up || !live) return;
      if (this.#paused) this.#dueTimers.push(guarded);
      else run();
    });
    return () => {
      live = false;
      cancel();
    };
  }

  listen(handler: TransportHandler): void {
    this.#handler = handler;
  }

  send(to: string, packet: Uint8Array): void {
    if (this.up) this.#network.send(this.address, to, packet);
  }

  exchange(
    to: string,
    request: Uint8Array,
    timeoutMs: number,
    done: (outcome: ExchangeOutcome) => void,
  ): void {
    this.#network.exchange(this.address, to, request, timeoutMs, (outcome) =>
      this.#whenAwake(() => done(outcome)),
    );
  }

  /** What the network brings. */
  receive(from: string, packet: Uint8Array): void {
    if (this.#paused && this.#waiting.length >= SOCKET_PACKETS_MAX) return;
    this.#whenAwake(() => this.#handler?.packet(from, packet));
  }

  answer(from: string, request: Uint8Array, done: (reply: Uint8Array | undefined) => void): void {
    this.#whenAwake(() => done(this.#handler?.request(from, request)));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    for (const queue of [this.#dueTimers.splice(0), this.#waiting.splice(0)]) {
      for (const run of queue) if (this.up) run();
    }
  }

  /** Ends the process at once: it says nothing any more. */
  kill(): void {
    this.up = false;
    this.#dueTimers = [];
    this.#waiting = [];
  }

  #whenAwake(run: () => void): void {
    if (!this.up) return;
    if (this.#paused) this.#waiting.push(run);
    else run();
  }
}
