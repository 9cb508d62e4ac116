import type { Incarnation } from '../dot.ts';
import type { CommitRange } from '../replica-delta.ts';
import type { DeltasMessage } from './messages.ts';
import type { ReplicationOptions, ReplicationStats } from './ports.ts';
import { coversVector } from './vector.ts';

export interface ReceiverHooks<S> {
  /** Tells a peer what there is here. */
  acknowledge(peer: string): void;
  /** The same, and that what it sent does not fit. */
  refuse(peer: string): void;
  joined(from: string, ranges: readonly CommitRange[], delta: S, bytes: number): void;
}

interface Parked {
  readonly from: string;
  readonly message: DeltasMessage;
  readonly atMs: number;
}

/**
 * Takes the deltas of others, each once what it builds on is here. What came before its causes waits
 * a moment for them, since their own replicas send them at the same time.
 */
export class Receiver<S> {
  readonly #options: ReplicationOptions<S>;
  readonly #stats: ReplicationStats;
  readonly #hooks: ReceiverHooks<S>;
  /** What is being joined in. */
  readonly #joining = new Set<readonly CommitRange[]>();
  /** What came before its causes. */
  #parked: Parked[] = [];

  constructor(options: ReplicationOptions<S>, stats: ReplicationStats, hooks: ReceiverHooks<S>) {
    this.#options = options;
    this.#stats = stats;
    this.#hooks = hooks;
  }

  receive(from: string, message: DeltasMessage): void {
    const { ports, life, settings } = this.#options;
    const { reader, ranges, causes } = message;
    const has = (incarnation: Incarnation) => ports.known.get(incarnation) ?? 0;
    if (reader !== life || ranges.some(({ incarnation, after }) => has(incarnation) < after)) {
      this.#stats.deltasRefused++;
      this.#hooks.refuse(from);
    } else if (ranges.every(({ incarnation, upTo }) => has(incarnation) >= upTo)) {
      this.#stats.deltasKnown++;
      this.#hooks.acknowledge(from);
    } else if (this.#isBeingJoined(ranges)) {
      // Those that bring the same are told of it together, once it is durable.
      this.#stats.deltasKnown++;
    } else if (!coversVector(ports.known, causes)) {
      if (this.#parked.length >= settings.parked_max) this.#parked.shift();
      this.#parked.push({ from, message, atMs: ports.now() });
    } else this.#join(from, message);
  }

  /** More is known here: takes what waited for it. The others come again, if need be. */
  unpark(): void {
    const { known } = this.#options.ports;
    const ready = this.#parked.filter(({ message }) => coversVector(known, message.causes));
    if (ready.length === 0) return;
    this.#parked = this.#parked.filter((parked) => !ready.includes(parked));
    for (const { from, message } of ready) this.receive(from, message);
  }

  /** Who sent what has waited too long is to send its causes too. */
  refuseLate(): void {
    const { ports, settings } = this.#options;
    const isLate = ({ atMs }: Parked) => ports.now() - atMs >= settings.parkedMs;
    const late = this.#parked.filter(isLate);
    if (late.length === 0) return;
    this.#parked = this.#parked.filter((parked) => !isLate(parked));
    for (const { from } of late) this.#hooks.refuse(from);
    this.#stats.deltasRefused += late.length;
  }

  #join(from: string, { ranges, delta }: DeltasMessage): void {
    const { ports, decode, settings } = this.#options;
    if (this.#joining.size >= settings.joins_max) return;
    let decoded: S;
    try {
      decoded = decode(delta);
    } catch {
      this.#stats.malformed++;
      return;
    }
    this.#joining.add(ranges);
    ports.join(decoded, ranges, (isJoined) => {
      this.#joining.delete(ranges);
      if (!isJoined) return;
      this.#stats.deltasJoined++;
      this.#hooks.joined(from, ranges, decoded, delta.length);
      this.#hooks.acknowledge(from);
      this.unpark();
    });
  }

  #isBeingJoined(ranges: readonly CommitRange[]): boolean {
    const coming = [...this.#joining].flat();
    const upTo = (incarnation: Incarnation) =>
      Math.max(
        this.#options.ports.known.get(incarnation) ?? 0,
        ...coming.filter((range) => range.incarnation === incarnation).map((range) => range.upTo),
      );
    return ranges.every((range) => upTo(range.incarnation) >= range.upTo);
  }
}
