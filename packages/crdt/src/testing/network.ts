import type { Seeded } from '@memplane/testkit';
import type { KeyedState } from '../keyed.ts';
import type { Vector } from '../replication/vector.ts';

export type Body =
  /** As the replication made it. */
  | { readonly kind: 'replication'; readonly bytes: Uint8Array }
  /** A comparison, as in two calls: first for the vector, then for what differs. */
  | { readonly kind: 'ask'; readonly asked: number; readonly forState: boolean }
  | {
      readonly kind: 'vector';
      readonly asked: number;
      readonly life: number;
      readonly known: Vector;
    }
  | {
      readonly kind: 'state';
      readonly asked: number;
      readonly life: number;
      readonly state: KeyedState;
    };

export interface Message {
  readonly from: number;
  readonly to: number;
  /** The sender's clock. */
  readonly clock: bigint;
  readonly body: Body;
}

export interface NetworkFaults {
  readonly loss: number;
  readonly duplication: number;
}

const LATE_MAX = 64;

/**
 * A bag of messages: any may be next. It loses, repeats, and is cut into groups. Some repetitions
 * come very late, in a later time of faults, when their sender may have crashed since.
 */
export class Network {
  faults: NetworkFaults;
  readonly #random: Seeded;
  readonly #groups: number[];
  readonly #waiting: Message[] = [];
  readonly #late: Message[] = [];

  constructor(replicas: number, faults: NetworkFaults, random: Seeded) {
    this.faults = faults;
    this.#random = random;
    this.#groups = Array.from({ length: replicas }, () => 0);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  send(message: Message): void {
    if (this.#isCut(message) || this.#random.chance(this.faults.loss)) return;
    this.#waiting.push(message);
    if (!this.#random.chance(this.faults.duplication)) return;
    const isLate = this.#random.chance(0.6) && this.#late.length < LATE_MAX;
    (isLate ? this.#late : this.#waiting).push(message);
  }

  /** Any of those that wait; undefined for one that a cut holds up, which is then lost. */
  receive(): Message | undefined {
    const isLate = this.#late.length > 0 && this.faults.loss > 0 && this.#random.chance(0.2);
    const message = this.#takeAny(isLate ? this.#late : this.#waiting);
    return message === undefined || this.#isCut(message) ? undefined : message;
  }

  #takeAny(messages: Message[]): Message | undefined {
    const index = this.#random.int(0, messages.length - 1);
    const message = messages[index];
    const last = messages.pop();
    if (last !== undefined && index < messages.length) messages[index] = last;
    return message;
  }

  cut(): void {
    for (let i = 0; i < this.#groups.length; i++) this.#groups[i] = this.#random.int(0, 1);
  }

  heal(): void {
    this.#groups.fill(0);
  }

  #isCut({ from, to }: Message): boolean {
    return this.#groups[from] !== this.#groups[to];
  }
}
