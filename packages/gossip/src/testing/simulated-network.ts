import { MemplaneError } from '@memplane/contracts';
import type { Seeded } from '@memplane/testkit';
import type { ExchangeOutcome } from '../ports.ts';
import type { SimulatedHost } from './simulated-host.ts';
import { Trace } from './trace.ts';
import type { VirtualTime } from './virtual-time.ts';

/** How bad the network is. Rates are parts of 1. */
export interface NetworkConditions {
  readonly lossRate: number;
  readonly duplicateRate: number;
  readonly delayMinMs: number;
  readonly delayMaxMs: number;
  /** Packets that take `lateMs` longer, and so overtake none but are overtaken. */
  readonly lateRate: number;
  readonly lateMs: number;
}

export const GOOD_NETWORK: NetworkConditions = {
  lossRate: 0,
  duplicateRate: 0,
  delayMinMs: 0.2,
  delayMaxMs: 2,
  lateRate: 0,
  lateMs: 0,
};

/** TCP sends a lost segment again after about this time. */
const RETRANSMIT_MS = 200;

/** Datagrams and streams between hosts, with faults that a seed repeats. */
export class SimulatedNetwork {
  readonly time: VirtualTime;
  readonly trace = new Trace();
  readonly #random: Seeded;
  readonly #hosts = new Map<string, SimulatedHost>();
  readonly #cuts = new Set<string>();
  conditions: NetworkConditions;
  /** Bytes that were sent, without the overhead of IP, UDP and TCP. */
  readonly sentBytes = { datagrams: 0, streams: 0 };
  /** Sees each packet that is delivered. */
  tap: ((from: string, to: string, packet: Uint8Array) => void) | undefined;

  constructor(time: VirtualTime, random: Seeded, conditions: Partial<NetworkConditions> = {}) {
    this.time = time;
    this.#random = random;
    this.conditions = { ...GOOD_NETWORK, ...conditions };
  }

  attach(host: SimulatedHost): void {
    this.#hosts.set(host.address, host);
  }

  /** Lets nothing through from one address to another; the way back is another cut. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  /** Cuts both ways between the members of two groups. */
  split(a: readonly string[], b: readonly string[]): void {
    for (const one of a) {
      for (const other of b) {
        this.cut(one, other);
        this.cut(other, one);
      }
    }
  }

  healAll(): void {
    this.#cuts.clear();
  }

  send(from: string, to: string, packet: Uint8Array): void {
    const { duplicateRate, lossRate } = this.conditions;
    this.sentBytes.datagrams += packet.length;
    const copies = this.#random.chance(duplicateRate) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      if (this.#isCut(from, to) || this.#random.chance(lossRate)) continue;
      this.time.after(this.#delayMs(), () => {
        this.trace.add(this.time.nowMs, from, to, packet);
        this.tap?.(from, to, packet);
        this.#hosts.get(to)?.receive(from, packet);
      });
    }
  }

  exchange(
    from: string,
    to: string,
    request: Uint8Array,
    timeoutMs: number,
    done: (outcome: ExchangeOutcome) => void,
  ): void {
    const finish = (outcome: ExchangeOutcome) => {
      cancel();
      done(outcome);
    };
    this.sentBytes.streams += request.length;
    const cancel = this.time.after(timeoutMs, () => done(failure('deadline_exceeded', to)));
    if (this.#isCut(from, to) || this.#isCut(to, from)) return;
    this.time.after(this.#streamDelayMs(), () => {
      this.trace.add(this.time.nowMs, from, to, request);
      const host = this.#hosts.get(to);
      if (host === undefined || !host.up) {
        finish(failure('dependency_unavailable', to));
        return;
      }
      host.answer(from, request, (reply) => {
        this.sentBytes.streams += reply?.length ?? 0;
        if (this.#isCut(to, from)) return;
        this.time.after(this.#streamDelayMs(), () => {
          if (reply === undefined) finish(failure('dependency_unavailable', to));
          else finish({ ok: true, reply });
        });
      });
    });
  }

  #isCut(from: string, to: string): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  #delayMs(): number {
    const { delayMaxMs, delayMinMs, lateMs, lateRate } = this.conditions;
    const lateByMs = this.#random.chance(lateRate) ? lateMs * this.#random.next() : 0;
    return delayMinMs + (delayMaxMs - delayMinMs) * this.#random.next() + lateByMs;
  }

  /** A lost segment delays a stream, and does not break it. */
  #streamDelayMs(): number {
    let delayMs = 2 * this.#delayMs();
    for (let waitMs = RETRANSMIT_MS; this.#random.chance(this.conditions.lossRate); waitMs *= 2) {
      delayMs += waitMs;
    }
    return delayMs;
  }
}

function failure(code: 'deadline_exceeded' | 'dependency_unavailable', to: string) {
  return { ok: false, error: new MemplaneError(code, `${to} did not answer`) } as const;
}
