import { MemplaneError } from '@memplane/contracts';
import type {
  ExchangeOutcome,
  Transport,
  TransportHandler,
  UdpTcpTransport,
} from '@memplane/gossip';
import type { Seeded } from '@memplane/testkit';
import type { HostOptions } from './host.ts';

/** About what a socket's buffer holds. */
const WAITING_MAX = 512;

/**
 * The package's own transport, which loses and delays datagrams as they leave. While its member is
 * starved, datagrams wait in both directions, and streams fail. `main.go` has the like.
 */
export class StarvingTransport implements Transport {
  readonly address: string;
  readonly #inner: UdpTcpTransport;
  readonly #options: HostOptions;
  readonly #random: Seeded;
  #begun = false;
  #starving = false;
  #outgoing: (() => void)[] = [];
  #incoming: (() => void)[] = [];

  constructor(inner: UdpTcpTransport, options: HostOptions, random: Seeded) {
    this.address = inner.address;
    this.#inner = inner;
    this.#options = options;
    this.#random = random;
  }

  listen(handler: TransportHandler): void {
    this.#inner.listen({
      packet: (from, bytes) => {
        const take = () => handler.packet(from, bytes);
        if (!this.#starving) take();
        else if (this.#incoming.length < WAITING_MAX) this.#incoming.push(take);
      },
      request: (from, bytes) => (this.#starving ? undefined : handler.request(from, bytes)),
    });
  }

  send(to: string, packet: Uint8Array): void {
    const leave = () => this.#leave(to, packet);
    if (!this.#starving) leave();
    else if (this.#outgoing.length < WAITING_MAX) this.#outgoing.push(leave);
  }

  exchange(
    to: string,
    request: Uint8Array,
    timeoutMs: number,
    done: (outcome: ExchangeOutcome) => void,
  ): void {
    if (!this.#starving) {
      this.#inner.exchange(to, request, timeoutMs, done);
      return;
    }
    const error = new MemplaneError('dependency_unavailable', 'starved');
    queueMicrotask(() => done({ ok: false, error }));
  }

  /** Begins to lose and to delay: before, members find each other in peace. */
  begin(): void {
    this.#begun = true;
  }

  starve(): void {
    this.#starving = true;
  }

  feed(): void {
    this.#starving = false;
    for (const queue of [this.#outgoing.splice(0), this.#incoming.splice(0)]) {
      for (const run of queue) run();
    }
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  #leave(to: string, packet: Uint8Array): void {
    const lost = this.#random.chance(this.#options.lossRate);
    const delayMs = this.#random.int(0, this.#options.delayMaxMs);
    if (lost && this.#begun) return;
    if (delayMs === 0 || !this.#begun) this.#inner.send(to, packet);
    else setTimeout(() => this.#inner.send(to, packet), delayMs);
  }
}
