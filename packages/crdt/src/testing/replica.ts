import type { Seeded } from '@memplane/testkit';
import { dotKey } from '../causal-difference.ts';
import { dotsOf } from '../context.ts';
import {
  DeltaBuffer,
  type DeltaInterval,
  type DeltaPosition,
  type Outgoing,
} from '../delta-buffer.ts';
import { DeltaInbox, type Verdict } from '../delta-inbox.ts';
import { hasDot, type Incarnation } from '../dot.ts';
import { encodeKeyed, type KeyedState, keyedLattice } from '../keyed.ts';
import { readRegister } from '../lww-register.ts';
import type { Body, Message } from './network.ts';
import { type Actor, ELEMENTS, randomOperation, rewriteElement } from './operations.ts';
import { type Oracle, vectorOf } from './oracle.ts';
import { type PlantedBug, Violation } from './planted-bugs.ts';
import { plantInDelta, plantInReceived, tidy } from './planting.ts';

export interface ReplicaOptions {
  readonly id: number;
  readonly peers: readonly number[];
  readonly random: Seeded;
  readonly oracle: Oracle;
  readonly bug: PlantedBug | undefined;
  /** Only a replica's own deltas are passed on, each to all; else also what it got from others. */
  readonly isDirect: boolean;
  readonly entries_max: number;
  readonly bytes_max: number;
  /** Milliseconds that its wall clock is ahead. */
  readonly skew: number;
}

interface Durable {
  readonly state: KeyedState;
  readonly clock: bigint;
  readonly removed: ReadonlySet<string>;
}

const INTERVAL_BYTES_MAX = 600;

/** A replica with a state, of which a tail may be lost in a crash, and volatile delta buffers. */
export class Replica {
  state: KeyedState = keyedLattice.bottom();
  incarnation: Incarnation;
  readonly retired: Incarnation[] = [];
  readonly options: ReplicaOptions;
  #buffer: DeltaBuffer<KeyedState>;
  #inbox: DeltaInbox;
  #clock = 0n;
  #removed = new Set<string>();
  /** What is sent one by one, where that is the planted bug. */
  #loose: KeyedState[] = [];
  #durable: Durable = { state: keyedLattice.bottom(), clock: 0n, removed: new Set() };

  constructor(options: ReplicaOptions) {
    this.options = options;
    this.incarnation = this.#newId();
    this.#buffer = this.#newBuffer();
    this.#inbox = this.#newInbox();
  }

  /** Does a random operation at wall time `now` (ms). */
  operate(now: number): void {
    const { random, bug } = this.options;
    const actor = this.#actor(now);
    this.#perform(randomOperation(this.state, actor, random), actor);
    if (bug === 'context-dropped' || bug === 'akka-21647') {
      if (random.chance(0.2)) tidy(this, bug);
    }
  }

  /** Takes over an element's dots, as a replica does for one that is gone. */
  rewrite(now: number): void {
    const actor = this.#actor(now);
    const element = `e${this.options.random.int(1, ELEMENTS)}`;
    const delta = rewriteElement(this.state, actor, element);
    if (delta !== undefined) this.#perform(delta, actor, true);
  }

  flush(): void {
    const state = keyedLattice.clone(this.state);
    this.#durable = { state, clock: this.#clock, removed: new Set(this.#removed) };
    this.options.oracle.markDurable(this.state, this.incarnation);
  }

  /** Loses all that was not flushed, and what is never flushed, and starts anew. */
  crash(): void {
    this.state = keyedLattice.clone(this.#durable.state);
    this.#clock = this.#durable.clock;
    this.#removed = new Set(this.#durable.removed);
    this.retired.push(this.incarnation);
    const id = this.#newId();
    if (this.options.bug !== 'dot-reuse') this.incarnation = id;
    this.#buffer = this.#newBuffer();
    this.#inbox = this.#newInbox();
  }

  outgoing(to: number): Message | undefined {
    const { bug, random } = this.options;
    const isLoose = bug === 'before-cause' && this.#loose.length > 0;
    const body = isLoose
      ? this.#looseBody(random.pick(this.#loose))
      : this.#bodyOf(this.#buffer.next(String(to)));
    return body && { from: this.options.id, to, clock: this.#clock, body };
  }

  /** Turns to anti-entropy with all. */
  forgetAll(): void {
    for (const peer of this.options.peers) this.#buffer.forget(String(peer));
  }

  /** Takes a message, and gives the answer to it. */
  receive({ from, clock, body }: Message): Message | undefined {
    if (clock > this.#clock) this.#clock = clock;
    const peer = String(from);
    if (body.kind === 'ack') {
      this.#buffer.acknowledge(peer, body.ack);
      return undefined;
    }
    let verdict: Verdict = 'join';
    if (body.kind === 'state') this.#takeState(peer, body.position, body.state);
    else verdict = this.#takeInterval(peer, body.interval);
    const ack = this.#inbox.acknowledgement(peer, verdict);
    return { from: this.options.id, to: from, clock: this.#clock, body: { kind: 'ack', ack } };
  }

  #takeState(peer: string, position: DeltaPosition, state: KeyedState): void {
    // Another log: the peer has started anew, and may have lost what it had from here.
    if (this.#inbox.isNewLog(peer, position.log)) this.#buffer.forget(peer);
    this.#take(this.#lifeOf(peer, position.log), state);
    this.#inbox.advance(peer, position);
  }

  #takeInterval(peer: string, interval: DeltaInterval<KeyedState>): Verdict {
    const isCareless = this.options.bug === 'before-cause';
    const verdict = isCareless ? 'join' : this.#inbox.judge(peer, interval);
    if (verdict === 'join') {
      this.#take(this.#lifeOf(peer, interval.log), interval.delta);
      this.#inbox.advance(peer, interval);
    }
    return verdict;
  }

  /** What names a life of a replica; only its id where that is the planted bug. */
  #lifeOf(id: string, log: Incarnation): Incarnation {
    return this.options.bug === 'earlier-life' ? id.padStart(32, '0') : log;
  }

  #take(origin: Incarnation, received: KeyedState): void {
    const { bug, oracle, isDirect } = this.options;
    const before = vectorOf(this.state);
    const news = keyedLattice.difference(received, this.state);
    keyedLattice.joinInto(this.state, news);
    if (bug === 'akka.net-8220-lookup') plantInReceived(this.state, received);
    this.#checkRemoved(received);
    oracle.checkGrowth(before, this.state, !isDirect);
    if (!isDirect) this.#append(news, origin);
  }

  #perform(delta: KeyedState, actor: Actor, isRewrite = false): void {
    const { oracle, bug } = this.options;
    const { incarnation } = actor;
    const past = vectorOf(this.state);
    const seq = (past.get(incarnation) ?? 0) + 1;
    const written = delta.registers.get('r')?.versions[0];
    const sent = bug === undefined ? delta : plantInDelta(delta, this.state, bug, isRewrite);
    keyedLattice.joinInto(this.state, bug === 'akka-22890' ? sent : delta);
    oracle.record({ incarnation, seq, delta, past, isDurable: false });
    if (written !== undefined) {
      const read = readRegister(
        this.state.registers.get('r') ?? { versions: [], context: new Map() },
      );
      if (read?.value !== written.value) throw new Violation('reads its own write', 'r');
    }
    this.#checkRemoved(delta);
    this.#append(sent, undefined);
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

  /** Puts a delta into the buffer, and looks after its bounds. */
  #append(delta: KeyedState, origin: Incarnation | undefined): void {
    const { entries_max, bytes_max } = this.options;
    this.#buffer.append(delta, origin);
    if (this.options.bug === 'before-cause') this.#loose = [...this.#loose, delta].slice(-6);
    if (this.#buffer.entries > entries_max || this.#buffer.bytes > bytes_max) {
      throw new Violation('bounded buffers', `${this.#buffer.entries} entries`);
    }
  }

  /** What a buggy `tidy` has come to know, told as a delta. */
  spread(delta: KeyedState): void {
    keyedLattice.joinInto(this.state, delta);
    this.#append(delta, undefined);
  }

  #looseBody(delta: KeyedState): Body {
    const { log } = this.#buffer.position;
    return { kind: 'interval', interval: { log, reader: log, after: 0, upTo: 1, delta } };
  }

  #bodyOf(outgoing: Outgoing<KeyedState>): Body | undefined {
    if (outgoing.kind === 'nothing') return undefined;
    if (outgoing.kind === 'interval') return outgoing;
    const { position } = outgoing;
    return { kind: 'state', position, state: keyedLattice.clone(this.state) };
  }

  #actor(now: number): Actor {
    const { id, skew, bug } = this.options;
    const wall = BigInt(now + skew);
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

  #newInbox(): DeltaInbox {
    return new DeltaInbox(this.#lifeOf(String(this.options.id), this.#buffer.position.log));
  }

  #newBuffer(): DeltaBuffer<KeyedState> {
    const { entries_max, bytes_max, peers } = this.options;
    const buffer = new DeltaBuffer<KeyedState>({
      lattice: keyedLattice,
      log: this.#newId(),
      weigh: (delta) => encodeKeyed(delta).length,
      entries_max,
      bytes_max,
      interval_bytes_max: INTERVAL_BYTES_MAX,
    });
    for (const peer of peers) buffer.addNeighbour(String(peer));
    return buffer;
  }
}
