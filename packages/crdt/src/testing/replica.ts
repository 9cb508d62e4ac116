import type { Seeded } from '@memplane/testkit';
import { dotKey } from '../causal-difference.ts';
import { foundContested } from '../contested.ts';
import { dotsOf } from '../context.ts';
import { type CounterState, cloneCounter, emptyCounter } from '../counter.ts';
import { hasDot, type Incarnation } from '../dot.ts';
import { decodeKeyed, encodeKeyed, type KeyedState, keyedLattice } from '../keyed.ts';
import { emptyRegister, readRegister } from '../lww-register.ts';
import type { CommitRange } from '../replica-delta.ts';
import type { ReplicationSettings } from '../replication/ports.ts';
import { Replication } from '../replication/replication.ts';
import { rangesTo, type Vector } from '../replication/vector.ts';
import type { Body, Message } from './network.ts';
import { CLAIMED, type OpIds, plantInClaims, withoutClaims } from './op-ids.ts';
import { type Actor, ELEMENTS, randomOperation, rewriteElement } from './operations.ts';
import { type Oracle, vectorOf } from './oracle.ts';
import { type PlantedBug, Violation } from './planted-bugs.ts';
import { looseMessage, plantInDelta, plantInMessage, plantInReceived, tidy } from './planting.ts';

export interface ReplicaOptions {
  readonly id: number;
  readonly peers: readonly number[];
  readonly random: Seeded;
  readonly oracle: Oracle;
  readonly bug: PlantedBug | undefined;
  /** Undefined where none are used. */
  readonly opIds: OpIds | undefined;
  /** What all replicas have for good. */
  readonly durable: () => readonly Vector[];
  readonly settings: ReplicationSettings;
  /** Virtual time, in ms. */
  readonly now: () => number;
  readonly send: (message: Message) => void;
  /** Whether joins may fail. */
  readonly isFaulty: () => boolean;
  /** Milliseconds that its wall clock is ahead. */
  readonly skew: number;
}

interface Durable {
  readonly state: KeyedState;
  readonly known: Vector;
  readonly clock: bigint;
  readonly removed: ReadonlySet<string>;
}

interface Comparison {
  readonly asked: number;
  readonly peer: string;
  readonly untilMs: number;
  readonly done: () => void;
  /** What the peer had when it began, and in which of its lives. */
  begun: { readonly life: number; readonly known: Vector } | undefined;
}

const COMPARISON_TIMEOUT_MS = 40;
const LOOSE_MAX = 6;

/** A replica with a state and a vector of which a tail may be lost in a crash, together. */
export class Replica {
  state: KeyedState = keyedLattice.bottom();
  known: Vector = new Map();
  incarnation: Incarnation;
  readonly retired: Incarnation[] = [];
  readonly options: ReplicaOptions;
  #replication: Replication<KeyedState>;
  #life = 0;
  #clock = 0n;
  #asked = 0;
  #comparison: Comparison | undefined;
  /** Joins that are under way. */
  #joins: (() => void)[] = [];
  #removed = new Set<string>();
  /** What is sent one by one, where that is the planted bug. */
  #loose: Uint8Array[] = [];
  #durable: Durable = {
    state: keyedLattice.bottom(),
    known: new Map(),
    clock: 0n,
    removed: new Set(),
  };

  constructor(options: ReplicaOptions) {
    this.options = options;
    this.incarnation = this.#newId();
    this.#replication = this.#begin();
  }

  get isJoining(): boolean {
    return this.#joins.length > 0;
  }

  /** Does a random operation. */
  operate(): void {
    const { random, bug } = this.options;
    const actor = this.#actor();
    this.#perform(randomOperation(this.state, actor, random), actor);
    if (bug === 'context-dropped' || bug === 'akka-21647') {
      if (random.chance(0.2)) tidy(this, bug);
    }
  }

  /** Counts what is sent with an operation id, or does a reset of what is counted so. */
  claim(): void {
    const { now, opIds, random, skew } = this.options;
    if (opIds === undefined) return;
    const actor = this.#actor();
    const commit = (this.known.get(this.incarnation) ?? 0) + 1;
    const delta = opIds.operate(this.state, actor, { commit, wallMs: now() + skew, random });
    if (delta !== undefined) this.#perform(delta, actor);
  }

  forget(): void {
    const { durable, now, opIds, skew } = this.options;
    opIds?.forget(this.state, now() + skew, durable());
  }

  get durableKnown(): Vector {
    return this.#durable.known;
  }

  /** Takes over an element's dots, as a replica does for one that is gone. */
  rewrite(): void {
    const actor = this.#actor();
    const element = `e${this.options.random.int(1, ELEMENTS)}`;
    const delta = rewriteElement(this.state, actor, element);
    if (delta !== undefined) this.#perform(delta, actor, true);
  }

  /** A round of its replication. */
  tick(): void {
    const { now, random } = this.options;
    if (this.#comparison !== undefined && now() >= this.#comparison.untilMs) {
      this.#endComparison();
    }
    this.#replication.tick();
    const { bug, settings, peers } = this.options;
    if (bug === 'before-cause' && this.#loose.length > 0) {
      this.#send(random.pick(peers), { kind: 'replication', bytes: random.pick(this.#loose) });
    }
    const { entries, bytes } = this.#replication.log;
    if (entries > settings.log_entries_max || bytes > settings.log_bytes_max) {
      throw new Violation('bounded buffers', `${entries} entries, ${bytes} bytes`);
    }
  }

  /** Ends a join that is under way. */
  settle(): void {
    this.#joins.shift()?.();
  }

  /** The network is whole again. */
  reachesAll(): void {
    for (const peer of this.options.peers) this.#replication.reachable(String(peer));
    this.#comparison = undefined;
  }

  flush(): void {
    const state = keyedLattice.clone(this.state);
    const known = new Map(this.known);
    this.#durable = { state, known, clock: this.#clock, removed: new Set(this.#removed) };
    this.options.oracle.markDurable(this.state, this.incarnation);
  }

  /** Loses all that was not flushed, and what is never flushed, and starts anew. */
  crash(): void {
    this.state = keyedLattice.clone(this.#durable.state);
    if (this.options.bug !== 'early-acknowledgement') this.known = new Map(this.#durable.known);
    this.#clock = this.#durable.clock;
    this.#removed = new Set(this.#durable.removed);
    this.retired.push(this.incarnation);
    const id = this.#newId();
    if (this.options.bug !== 'dot-reuse') this.incarnation = id;
    this.#joins = [];
    this.#comparison = undefined;
    this.#replication = this.#begin();
  }

  receive({ from, clock, body }: Message): void {
    if (clock > this.#clock) this.#clock = clock;
    if (body.kind === 'replication') {
      const { bug } = this.options;
      const bytes = bug ? plantInMessage(body.bytes, bug, this.#life, this.known) : body.bytes;
      this.#replication.receive(String(from), bytes);
    } else if (body.kind === 'ask') this.#answer(from, body.asked, body.forState);
    else if (body.asked === this.#comparison?.asked) this.#compare(from, this.#comparison, body);
  }

  /** What a buggy `tidy` has come to know, told as a commit. */
  spread(delta: KeyedState): void {
    keyedLattice.joinInto(this.state, delta);
    this.#commit(delta);
  }

  #answer(from: number, asked: number, forState: boolean): void {
    // What is given may be ahead of the vector of before, so it must not be lost here.
    if (forState) this.flush();
    const answer = { asked, life: this.#life };
    if (forState) {
      this.#send(from, { kind: 'state', ...answer, state: keyedLattice.clone(this.state) });
    } else this.#send(from, { kind: 'vector', ...answer, known: new Map(this.known) });
  }

  #compare(
    from: number,
    comparison: Comparison,
    body: Extract<Body, { kind: 'vector' | 'state' }>,
  ): void {
    if (body.kind === 'vector') {
      if (comparison.begun !== undefined) return;
      comparison.begun = body;
      this.#send(from, { kind: 'ask', asked: comparison.asked, forState: true });
      return;
    }
    const { begun } = comparison;
    if (begun === undefined) return;
    const isOneLife = begun.life === body.life || this.options.bug === 'comparison-of-two-lives';
    if (isOneLife) this.#takeState(body.state, begun.known);
    this.#endComparison();
  }

  #takeState(state: KeyedState, begun: Vector): void {
    // It is newer than the vector of before, and what is committed on it does not say so.
    this.options.oracle.isCausal = false;
    this.#take(state);
    const ranges = rangesTo(begun, this.known);
    for (const { incarnation, upTo } of ranges) this.known.set(incarnation, upTo);
    this.#replication.tookOver(ranges);
  }

  #endComparison(): void {
    const comparison = this.#comparison;
    this.#comparison = undefined;
    comparison?.done();
  }

  #join(
    delta: KeyedState,
    ranges: readonly CommitRange[],
    done: (isJoined: boolean) => void,
  ): void {
    const { random, isFaulty } = this.options;
    const isFailing = isFaulty() && random.chance(0.05);
    this.#joins.push(() => {
      if (!isFailing) {
        this.#take(delta);
        for (const { incarnation, after, upTo } of ranges) {
          const known = this.known.get(incarnation) ?? 0;
          if (after <= known && upTo > known) this.known.set(incarnation, upTo);
        }
      }
      done(!isFailing);
    });
  }

  #take(received: KeyedState): void {
    const { bug, oracle } = this.options;
    const before = vectorOf(this.state);
    const mine = cloneCounter(this.state.counters.get(CLAIMED) ?? emptyCounter());
    const theirs = received.counters.get(CLAIMED);
    keyedLattice.joinInto(this.state, received);
    plantInClaims(this.state, mine, received, bug);
    if (theirs !== undefined && bug !== 'contested-untold') {
      const found = foundContested(mine, theirs);
      if (found !== undefined) this.#tellFound(found);
    }
    if (bug === 'akka.net-8220-lookup') plantInReceived(this.state, received);
    this.#checkRemoved(received);
    oracle.checkGrowth(before, this.state);
  }

  /** Others may have forgotten it by now. */
  #tellFound(found: CounterState): void {
    const delta = keyedLattice.bottom();
    delta.counters.set(CLAIMED, found);
    this.#commit(delta);
  }

  #perform(delta: KeyedState, actor: Actor, isRewrite = false): void {
    const { oracle, bug } = this.options;
    const { incarnation } = actor;
    const past = vectorOf(this.state);
    const seq = (past.get(incarnation) ?? 0) + 1;
    const written = delta.registers.get('r')?.versions[0];
    const sent = bug === undefined ? delta : plantInDelta(delta, this.state, bug, isRewrite);
    keyedLattice.joinInto(this.state, bug === 'akka-22890' ? sent : delta);
    const operation = withoutClaims(delta, 'counter');
    oracle.record({ incarnation, seq, delta: operation, past, isDurable: false });
    if (written !== undefined) {
      const read = readRegister(this.state.registers.get('r') ?? emptyRegister());
      if (read?.value !== written.value) throw new Violation('reads its own write', 'r');
    }
    this.#checkRemoved(delta);
    this.#commit(sent);
  }

  #commit(delta: KeyedState): void {
    const { incarnation } = this;
    const number = (this.known.get(incarnation) ?? 0) + 1;
    this.known.set(incarnation, number);
    this.#replication.committed(incarnation, number, delta);
    if (this.options.bug !== 'before-cause') return;
    this.#loose = [...this.#loose, looseMessage(incarnation, number, delta)].slice(-LOOSE_MAX);
  }

  /** Nothing that was removed here stands again; remembered apart from the state. */
  #checkRemoved(received: KeyedState): void {
    const news = received.sets.get('s');
    const mine = this.state.sets.get('s')?.elements;
    if (news === undefined) return;
    const standing = new Set<string>();
    for (const [element, dots] of news.elements) {
      for (const dot of dots) {
        const key = dotKey(dot);
        standing.add(key);
        if (this.#removed.has(key) && hasDot(mine?.get(element) ?? [], dot)) {
          throw new Violation('nothing removed comes back', element);
        }
      }
    }
    for (const dot of dotsOf(news.context)) {
      const key = dotKey(dot);
      if (!standing.has(key)) this.#removed.add(key);
    }
  }

  #send(to: number, body: Body): void {
    this.options.send({ from: this.options.id, to, clock: this.#clock, body });
  }

  #actor(): Actor {
    const { id, skew, bug, now } = this.options;
    const wall = BigInt(now() + skew);
    const ticked = this.#clock + 1n > wall ? this.#clock + 1n : wall;
    this.#clock = ticked;
    const hlc = bug === 'wall-clock' ? wall : ticked;
    return { replica: `replica ${id}`, incarnation: this.incarnation, hlc };
  }

  #newId(): Incarnation {
    const { random } = this.options;
    return Array.from({ length: 4 }, () =>
      random.int(0, 0xffff_ffff).toString(16).padStart(8, '0'),
    ).join('');
  }

  #begin(): Replication<KeyedState> {
    const { peers, settings, now } = this.options;
    const ids = peers.map(String);
    const { known } = this;
    return new Replication<KeyedState>({
      lattice: keyedLattice,
      encode: encodeKeyed,
      decode: decodeKeyed,
      life: ++this.#life,
      settings,
      ports: {
        now,
        own: () => this.incarnation,
        peers: () => ids,
        live: () => ids,
        send: (to, bytes) => this.#send(Number(to), { kind: 'replication', bytes }),
        known,
        join: (delta, ranges, done) => this.#join(delta, ranges, done),
        compare: (peer, done) => {
          const asked = ++this.#asked;
          const untilMs = now() + COMPARISON_TIMEOUT_MS;
          this.#comparison = { asked, peer, untilMs, done, begun: undefined };
          this.#send(Number(peer), { kind: 'ask', asked, forState: false });
        },
      },
    });
  }
}
