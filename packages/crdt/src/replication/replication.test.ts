import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { figure, seeded } from '@memplane/testkit';
import { emptyCounter, increment } from '../counter.ts';
import { decodeKeyed, encodeKeyed, type KeyedState, keyedLattice } from '../keyed.ts';
import { addElement } from '../or-set.ts';
import type { ReplicationSettings } from './ports.ts';
import { Replication } from './replication.ts';
import { coversVector, type Vector } from './vector.ts';

const ROUND_MS = 100;
const SETTINGS = {
  vectorIntervalMs: 1_000,
  apartIntervalMs: 2 * ROUND_MS,
  passOnDelayMs: 2 * ROUND_MS,
  resendMs: 2 * ROUND_MS,
  compareDelayMs: 10 * ROUND_MS,
  message_bytes_max: 100_000,
  delta_bytes_max: 100_000,
  log_entries_max: 1_000,
  log_bytes_max: 1_000_000,
  joins_max: 16,
  parkedMs: ROUND_MS,
  parked_max: 16,
};

/** Replicas whose messages arrive in the round in which they are sent. */
class World {
  nowMs = 0;
  isCut: (from: string, to: string) => boolean = () => false;
  /** Whether joins take a round. */
  isSlow = false;
  readonly replicas: { state: KeyedState; known: Vector; replication: Replication<KeyedState> }[];
  readonly #messages: (() => void)[] = [];
  #joins: (() => void)[] = [];

  constructor(count: number, settings: Partial<ReplicationSettings> = {}) {
    const ids = Array.from({ length: count }, (_, id) => String(id));
    this.replicas = ids.map((self) => {
      const state = keyedLattice.bottom();
      const known: Vector = new Map();
      const others = ids.filter((id) => id !== self);
      const replication = new Replication<KeyedState>({
        lattice: keyedLattice,
        encode: encodeKeyed,
        decode: decodeKeyed,
        life: 1,
        settings: { ...SETTINGS, ...settings },
        ports: {
          now: () => this.nowMs,
          own: () => incarnationOf(Number(self)),
          peers: () => others,
          live: () => others,
          send: (to, bytes) => {
            if (this.isCut(self, to)) return;
            this.#messages.push(() => this.replicas[Number(to)]?.replication.receive(self, bytes));
          },
          known,
          join: (delta, ranges, done) => {
            const join = () => {
              keyedLattice.joinInto(state, delta);
              for (const { incarnation, upTo } of ranges) known.set(incarnation, upTo);
              done(true);
            };
            if (this.isSlow) this.#joins.push(join);
            else join();
          },
          compare: (_, done) => done(),
        },
      });
      return { state, known, replication };
    });
  }

  round(): void {
    for (const { replication } of this.replicas) replication.tick();
    for (let next = this.#messages.shift(); next; next = this.#messages.shift()) next();
    this.nowMs += ROUND_MS;
    const joins = this.#joins;
    this.#joins = [];
    for (const join of joins) join();
  }

  commit(index: number, delta: KeyedState): void {
    const replica = this.replicas[index];
    assert.ok(replica);
    const incarnation = incarnationOf(index);
    keyedLattice.joinInto(replica.state, delta);
    const number = (replica.known.get(incarnation) ?? 0) + 1;
    replica.known.set(incarnation, number);
    replica.replication.committed(incarnation, number, delta);
  }

  /** Each replica counts once. */
  count(): void {
    for (const index of this.replicas.keys()) {
      const delta = keyedLattice.bottom();
      const counter = { ...emptyCounter(), kind: 'pn' } as const;
      delta.counters.set(`counter-${index}`, increment(counter, incarnationOf(index), 1n));
      this.commit(index, delta);
    }
  }

  get isConverged(): boolean {
    const [first] = this.replicas;
    return this.replicas.every(({ known }) => first && coversVector(known, first.known));
  }
}

function incarnationOf(index: number): string {
  return `${index}a`.repeat(16);
}

describe('the replication of five replicas', () => {
  it('sends no more than 1.2 times what the others lack, under concurrent updates', () => {
    const random = seeded(5);
    const world = new World(5);
    for (let round = 0; round < 3; round++) world.round();
    let ideal = 0;
    for (let round = 0; round < 200; round++) {
      for (const [index, { state }] of world.replicas.entries()) {
        const made = keyedLattice.bottom();
        for (let n = random.int(0, 4); n > 0; n--) {
          const delta = keyedLattice.bottom();
          const name = `counter-${random.int(1, 20)}`;
          const counter = state.counters.get(name) ?? emptyCounter();
          delta.counters.set(name, increment(counter, incarnationOf(index), 1n, 'pn'));
          const set = state.sets.get('set') ?? { elements: new Map(), context: new Map() };
          delta.sets.set('set', addElement(set, incarnationOf(index), `e${random.int(1, 500)}`));
          world.commit(index, delta);
          keyedLattice.joinInto(made, delta);
        }
        if (!keyedLattice.isBottom(made)) ideal += 4 * encodeKeyed(made).length;
      }
      world.round();
    }
    for (let round = 0; round < 5; round++) world.round();
    assert.ok(world.isConverged);
    const [first] = world.replicas;
    for (const { state } of world.replicas) {
      assert.deepEqual(encodeKeyed(state), encodeKeyed(first?.state ?? keyedLattice.bottom()));
    }
    const sent = world.replicas.reduce((sum, it) => sum + it.replication.stats.deltaBytesSent, 0);
    figure('deltas on the wire, to what the others lacked', sent / ideal, '×');
    assert.ok(sent <= 1.2 * ideal, `${sent} of ${ideal} bytes`);
  });

  it('brings both sides of a cut together while all go on with their work', () => {
    const world = new World(5);
    for (let round = 0; round < 3; round++) world.round();
    const isLeft = (id: string) => id === '0' || id === '1';
    world.isCut = (from, to) => isLeft(from) !== isLeft(to);
    for (let round = 0; round < 30; round++) {
      world.count();
      world.round();
    }
    world.isCut = () => false;
    const before = world.replicas.map(({ known }, i) => [incarnationOf(i), known] as const);
    const made = new Map(before.map(([own, known]) => [own, known.get(own) ?? 0]));
    for (let round = 0; round < 4; round++) {
      world.count();
      world.round();
    }
    for (const { known } of world.replicas) assert.ok(coversVector(known, made));
  });

  it('sends nothing again to one that is silent, and at once when it is heard', () => {
    const world = new World(2);
    for (let round = 0; round < 3; round++) world.round();
    world.isCut = () => true;
    world.count();
    for (let round = 0; round < 30; round++) world.round();
    for (const { replication } of world.replicas) assert.equal(replication.stats.deltasSent, 1);
    world.isCut = () => false;
    world.round();
    assert.ok(world.isConverged);
    for (const { replication } of world.replicas) assert.equal(replication.stats.comparisons, 0);
  });

  it('compares nothing as long as what is lacked comes, if slowly', () => {
    const world = new World(2, { message_bytes_max: 1 });
    for (let round = 0; round < 3; round++) world.round();
    world.isCut = () => true;
    for (let round = 0; round < 30; round++) {
      world.count();
      world.round();
    }
    world.isCut = () => false;
    world.isSlow = true;
    for (let round = 0; round < 40; round++) world.round();
    assert.ok(world.isConverged);
    for (const { replication } of world.replicas) assert.equal(replication.stats.comparisons, 0);
  });

  it('is quiet but for a vector now and then when there is nothing to tell', () => {
    const world = new World(3);
    for (let round = 0; round < 20; round++) world.round();
    const before = world.replicas.map(({ replication }) => replication.stats.vectorsSent);
    for (let round = 0; round < 10; round++) world.round();
    world.replicas.forEach(({ replication }, index) => {
      assert.equal(replication.stats.vectorsSent - (before[index] ?? 0), 2);
      assert.equal(replication.stats.deltasSent, 0);
    });
  });

  it('drops what it can not read, and what a stranger sends', () => {
    const world = new World(3);
    const replication = world.replicas[0]?.replication;
    assert.ok(replication);
    replication.receive('1', new Uint8Array(100));
    replication.receive('1', new Uint8Array(0));
    replication.receive('stranger', new Uint8Array(10));
    assert.equal(replication.stats.malformed, 2);
  });
});
