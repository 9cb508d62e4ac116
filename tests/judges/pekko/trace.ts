import { type Seeded, seeded } from '@memplane/testkit';
import type { Actor, Kind } from './kinds.ts';

/** One line for Pekko, and what it has to answer. */
export interface Step {
  readonly line: string;
  /** Undefined where the answer is no value. */
  readonly value: string | undefined;
}

export interface Trace {
  readonly name: string;
  readonly seed: number;
  readonly steps: readonly Step[];
}

interface Change<S> {
  readonly delta: S;
  readonly removes: string | undefined;
  /** What its replica had joined in of each replica, with this one. */
  readonly seen: readonly number[];
}

interface Message<S> {
  readonly id: number;
  readonly state: S;
  readonly seen: readonly number[];
}

interface Replica<S> {
  readonly actor: Actor;
  state: S;
  /** How many changes of each replica are in the state. */
  seen: number[];
}

const REPLICAS_MAX = 5;
/** How many changes of one replica a joined delta may have. */
const GROUP_MAX = 4;
/** States that are still under way, to come late or twice. */
const MESSAGES_MAX = 12;

/**
 * One random history of a few replicas, played here and written down for Pekko: local changes,
 * joined deltas, and states, which come late, twice and in any order.
 */
export function play<S>(kind: Kind<S>, seed: number, operations: number, isPlanted = false): Trace {
  const history = new History(kind, seeded(seed));
  while (history.operations < operations) history.step();
  history.level();
  // What is planted is Pekko's to find.
  if (!isPlanted) history.checkOrderless();
  return { name: kind.name, seed, steps: history.steps };
}

class History<S> {
  readonly steps: Step[] = [];
  operations = 0;
  readonly #kind: Kind<S>;
  readonly #random: Seeded;
  readonly #replicas: Replica<S>[];
  readonly #changes: Change<S>[][];
  #messages: Message<S>[] = [];
  #sent = 0;
  /** Earlier changes are not sent any more. */
  #floor: number[];

  constructor(kind: Kind<S>, random: Seeded) {
    this.#kind = kind;
    this.#random = random;
    const count = random.int(2, REPLICAS_MAX);
    const none = () => new Array<number>(count).fill(0);
    this.#floor = none();
    this.#replicas = Array.from({ length: count }, (_, at) => ({
      actor: { incarnation: String(at + 1).repeat(32), replica: `r${REPLICAS_MAX - at}` },
      state: kind.bottom(),
      seen: none(),
    }));
    this.#changes = this.#replicas.map(() => []);
    this.#say(`world\t${kind.name}\t${count}`, undefined);
  }

  step(): void {
    const at = this.#random.int(0, this.#replicas.length - 1);
    const choice = this.#random.next();
    if (choice < 0.4) this.#operate(at);
    else if (choice < 0.7 && !this.#kind.takesStatesOnly) this.#takeDelta(at);
    else if (choice < 0.8) this.#send(at);
    else if (choice < 0.995) this.#takeState(at);
    else if (this.#kind.removeKey !== undefined) this.#removeKey(at);
  }

  /** Brings all to the same state: each takes that of each other. */
  level(): void {
    const messages = this.#replicas.map((_, at) => this.#send(at));
    for (const message of this.#random.shuffle(messages)) {
      for (const at of this.#replicas.keys()) this.#merge(at, message);
    }
  }

  /** All deltas ever, in any order and some twice, come to what the replicas agree upon. */
  checkOrderless(): void {
    const { bottom, clone, joinInto, value } = this.#kind;
    const all = this.#changes.flat().map(({ delta }) => delta);
    const joined = bottom();
    for (const delta of this.#random.shuffle([...all, ...all.slice(0, 20)])) {
      joinInto(joined, clone(delta));
    }
    for (const { state } of this.#replicas) {
      if (value(state) === value(joined)) continue;
      throw new Error(`deltas in any order come to ${value(joined)}, not ${value(state)}`);
    }
  }

  #operate(at: number): void {
    const { actor, state } = this.#replica(at);
    this.#apply(at, this.#kind.operate(state, actor, this.#random));
  }

  #apply(at: number, operation: ReturnType<Kind<S>['operate']>): void {
    const replica = this.#replica(at);
    const { delta, words, removes } = operation;
    this.operations++;
    this.#kind.joinInto(replica.state, this.#kind.clone(delta));
    replica.seen[at] = (replica.seen[at] ?? 0) + 1;
    this.#changes[at]?.push({ delta, removes, seen: [...replica.seen] });
    this.#say(['op', at, ...words].join('\t'), replica.state);
    if (this.#kind.hasNoDeltas) this.#send(at, false);
  }

  /** Some changes of another replica, one after the other, or some that came before. */
  #takeDelta(at: number): void {
    const from = this.#random.int(0, this.#replicas.length - 1);
    const all = this.#changes[from] ?? [];
    const floor = this.#floor[from] ?? 0;
    if (from === at || all.length === floor) return;
    const seen = this.#replica(at).seen[from] ?? 0;
    const latest = this.#kind.takesCausalDeltas ? Math.min(seen, all.length - 1) : all.length - 1;
    const isNext = this.#random.chance(0.6) && seen >= floor;
    const first = isNext ? Math.min(seen, latest) : this.#random.int(floor, latest);
    if (first < floor) return;
    const last = Math.min(all.length - 1, first + this.#random.int(0, GROUP_MAX - 1));
    if (this.#kind.hasNoDeltas) this.#mergeDeltas(at, from, last, last);
    else if (this.#mayTake(at, from, last)) this.#mergeDeltas(at, from, first, last);
  }

  #mayTake(at: number, from: number, last: number): boolean {
    if (!this.#kind.takesCausalDeltas) return true;
    const { seen } = this.#replica(at);
    const causes = this.#changes[from]?.[last]?.seen ?? [];
    return causes.every((count, other) => other === from || count <= (seen[other] ?? 0));
  }

  #mergeDeltas(at: number, from: number, first: number, last: number): void {
    const { canTake, clone, hasNoDeltas, joinInto } = this.#kind;
    const replica = this.#replica(at);
    const joined = clone(replica.state);
    for (const { delta, removes } of this.#changes[from]?.slice(first, last + 1) ?? []) {
      if (removes !== undefined && canTake?.(joined, delta, removes) === false) {
        this.#merge(at, this.#send(from));
        return;
      }
      joinInto(joined, clone(delta));
    }
    replica.state = joined;
    const seen = replica.seen[from] ?? 0;
    if (first <= seen) replica.seen[from] = Math.max(seen, last + 1);
    const state = this.#kept[from]?.[last];
    const line = hasNoDeltas ? ['merge', at, state] : ['delta', at, from, first, last];
    this.#say(line.join('\t'), replica.state);
  }

  /** Of each change of a type without deltas, the state after it. */
  readonly #kept: number[][] = [];

  #send(at: number, isUnderWay = true): Message<S> {
    const { state, seen } = this.#replica(at);
    const message = { id: this.#sent++, state: this.#kind.clone(state), seen: [...seen] };
    this.#say(`state\t${at}`, undefined);
    if (isUnderWay) this.#messages = [...this.#messages, message].slice(-MESSAGES_MAX);
    else {
      this.#kept[at] ??= [];
      this.#kept[at].push(message.id);
    }
    return message;
  }

  #takeState(at: number): void {
    if (this.#messages.length > 0) this.#merge(at, this.#random.pick(this.#messages));
  }

  #merge(at: number, { id, state, seen }: Message<S>): void {
    const replica = this.#replica(at);
    this.#kind.joinInto(replica.state, this.#kind.clone(state));
    replica.seen = replica.seen.map((count, other) => Math.max(count, seen[other] ?? 0));
    this.#say(`merge\t${at}\t${id}`, replica.state);
  }

  #removeKey(at: number): void {
    this.level();
    const operation = this.#kind.removeKey?.(this.#replica(at).state, this.#random);
    if (operation === undefined) return;
    this.#apply(at, operation);
    this.level();
    this.#messages = [];
    this.#floor = this.#changes.map(({ length }) => length);
  }

  #replica(at: number): Replica<S> {
    const replica = this.#replicas[at];
    if (replica === undefined) throw new RangeError(`replica ${at}`);
    return replica;
  }

  #say(line: string, state: S | undefined): void {
    this.steps.push({ line, value: state === undefined ? undefined : this.#kind.value(state) });
  }
}
