import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { HybridClock } from '@memplane/clock';
import {
  addDigests,
  counterDigest,
  decodeMap,
  decodeRegister,
  emptyCounter,
  emptyFlag,
  emptyMap,
  emptyRegister,
  emptySet,
  encodeContext,
  encodeCounter,
  encodeMap,
  encodeRegister,
  flagDigest,
  type Json,
  joinCounterInto,
  joinFlagInto,
  joinMapInto,
  joinRegisterInto,
  joinSetInto,
  type MapPlace,
  type ReplicaDelta,
  recordDigest,
  registerDigest,
  setDigest,
  setOfDelta,
} from '@memplane/crdt';
import { toMemplaneError } from '@memplane/runtime';
import { figure, scaled } from '@memplane/testkit';
import fc from 'fast-check';
import { isOfMap } from '../../domain/apply-map.ts';
import { Command, type CommandType } from '../../domain/command.ts';
import type { ReplicatedExecutor } from '../../domain/executor.ts';
import { LocalExecutor } from '../../domain/local-executor.ts';
import type { Change, Commit, CrdtStore, LoadedName, Ref } from '../../domain/port.ts';
import { sent } from '../../domain/test-replica.ts';
import { EmbeddedStore } from '../embedded-store.ts';
import { CheckedStore } from '../test-checked-store.ts';
import { librarySource } from './library.ts';
import { RedisExecutor } from './redis-executor.ts';
import { RedisStore } from './redis-store.ts';
import { TestRedis } from './test-redis.ts';

const RUNS = scaled('differential_runs', { ci: 150, soak: 10_000 });
const NOW = 1_790_000_000_000;
const LIMITS = {
  set_elements_max: 4,
  set_bytes_max: 40,
  map_bytes_max: 1_600,
  op_ids_per_counter_max: 4,
  contested_ids_per_counter_max: 2,
  opid_memory_ms: 1_000,
  hlc_drift_max_ms: 1_000,
};
const OP_IDS = ['op1', 'op2', 'op3', 'op4', 'ü'];
const WRITERS = ['3', 'a', 'f'].map((digit) => digit.repeat(32));
const LOGS = ['0193f6f0-0000-7000-8000-00000000000a', '0193f6f0-0000-7000-8000-00000000000b'];
const MAX = Number.MAX_SAFE_INTEGER;

/** Commands whose outcomes depend on each other as much as can be: few names, few elements. */
interface Step {
  readonly type: CommandType;
  readonly name: string;
  readonly by: number;
  readonly opId: string | undefined;
  readonly kind: 'g' | 'pn' | undefined;
  readonly elements: readonly string[];
  readonly value: Json;
  readonly version: number;
  readonly place: MapPlace;
  readonly part: readonly [number, number, number, number, number, boolean];
}

const MAP_TYPES: CommandType[] = ['map-increment', 'map-add', 'map-remove', 'map-write', 'map-get'];
const TYPES: CommandType[] = [
  'increment',
  'increment',
  'increment',
  'counter-get',
  'counter-reset',
  'part-put',
  'set-add',
  'set-add',
  'set-remove',
  'set-has',
  'set-get',
  'set-reset',
  'register-put',
  'register-get',
  'register-reset',
  'reset-any',
  'flag-vote',
  'flag-get',
  ...MAP_TYPES,
  ...MAP_TYPES,
  'map-reset',
];
const amount = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -5, max: 9 }) },
  { weight: 1, arbitrary: fc.constantFrom(MAX, -MAX, 2 ** 32, -(2 ** 32), 2 ** 31, 65_536, 256) },
  { weight: 1, arbitrary: fc.maxSafeInteger() },
);
/** Elements whose order differs by bytes and by UTF-16. */
const ELEMENTS = ['x', 'ü\0', '', '\u{fffd}', '\u{1f600}'];
const place: fc.Arbitrary<MapPlace> = fc.record({
  type: fc.constantFrom('counter', 'set', 'register', 'map'),
  path: fc.constantFrom(['f'], ['g'], ['in', 'f'], ['in', 'in', 'g']),
  element: fc.option(fc.constantFrom(...ELEMENTS), { nil: undefined }),
});
/** Of the type that a command is about; what is removed may be of any. */
function placeFor({ type, place }: Step): MapPlace {
  const { path } = place;
  if (type === 'map-increment') return { type: 'counter', path };
  if (type === 'map-write') return { type: 'register', path };
  if (type === 'map-add') return { type: 'set', path, element: place.element ?? 'x' };
  return place.type === 'set' ? place : { type: place.type, path };
}
/** As it comes over a network, and is written to Redis: there is no negative zero. */
const json = fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.parse(JSON.stringify(value)));
const step: fc.Arbitrary<Step> = fc.record({
  type: fc.constantFrom(...TYPES),
  name: fc.constantFrom('a', 'b', 'c:d~e'),
  by: amount,
  opId: fc.option(fc.constantFrom(...OP_IDS), { nil: undefined }),
  kind: fc.constantFrom(undefined, undefined, 'g' as const, 'pn' as const),
  elements: fc.array(fc.constantFrom('x', 'y', 'ü\0', '', 'a longer element', 'z'), {
    minLength: 1,
    maxLength: 3,
  }),
  value: json as fc.Arbitrary<Json>,
  version: fc.constantFrom(1, 2, 2 ** 40),
  place,
  part: fc.tuple(
    fc.nat(2),
    fc.nat(1),
    fc.nat(2),
    fc.integer({ min: -1, max: 3 }),
    amount,
    fc.boolean(),
  ),
});
/** The same increment over and over, as busy counters have it. */
const often = fc.tuple(step, fc.integer({ min: 2, max: 12 })).map(([one, times]): Step[] =>
  Array<Step>(times).fill({
    ...one,
    type: one.type === 'map-increment' ? 'map-increment' : 'increment',
    opId: undefined,
  }),
);
const steps = fc
  .array(
    fc.oneof({ weight: 4, arbitrary: step.map((one) => [one]) }, { weight: 1, arbitrary: often }),
    { minLength: 1, maxLength: 8 },
  )
  .map((parts) => parts.flat());
/** Batches, each by one of the writers. */
const trace = fc.array(fc.record({ writer: fc.nat(2), steps }), { minLength: 1, maxLength: 10 });

function commandOf(step: Step): Command {
  const command = new Command(step.type, 'default', step.name, () => {});
  const [partition, log, epoch, offset, value, replaceLog] = step.part;
  command.by = step.by;
  command.opId = step.opId;
  command.kind = step.kind;
  command.elements = step.elements;
  command.value = step.value;
  command.version = step.version;
  if (isOfMap(command)) command.place = placeFor(step);
  const logId = LOGS[log] ?? '';
  command.part = { partition, logId, epoch, offset, value, replaceLog };
  return command;
}

function shown({ type, error, outcome }: Command): unknown {
  if (error !== undefined) return { code: error.code, field: error.field, text: error.message };
  // A read of a counter raises the flag where it exists, which nobody asks for.
  const { number, value, flag } = outcome;
  const hasValue = type.startsWith('register') || type.startsWith('flag') || type.startsWith('map');
  return { number, flag, value: hasValue ? value : undefined };
}

function digestsOf(loaded: LoadedName | undefined): unknown {
  const { counter, set, register, flag, map } = loaded ?? {};
  return {
    counter: counter && counterDigest(counter),
    register: register && registerDigest(register),
    flag: flag && flagDigest(flag),
    map: map && recordDigest(encodeMap(map)),
    set: set && addDigests(recordDigest(encodeContext(set.context)), set.elementsDigest),
    elements: set && [set.elements, set.elementBytes],
  };
}

const NAMES: Ref[] = ['a', 'b', 'c:d~e'].map((name) => ({ tenant: 'default', name }));
const OPS = NAMES.flatMap((ref) => OP_IDS.map((opId) => ({ ref, opId })));

/** Batches of one writer on one name: what is done, by how much, how often. */
const batchesOf = (batches: readonly (readonly [CommandType, number, number?])[][]) =>
  batches.map((batch) => ({
    writer: 0,
    steps: batch.flatMap(([type, by, times = 1]) => {
      const empty = {
        opId: undefined,
        kind: undefined,
        elements: ['x'],
        value: null,
        version: 1,
        place: { type: 'map' as const, path: ['in'] },
      };
      const one: Step = { ...empty, type, name: 'b', by, part: [0, 0, 0, 0, by, false] };
      return Array<Step>(times).fill(one);
    }),
  }));
/** One operation id at two writers that have not heard of each other: in few random histories. */
const COUNTED_TWICE = batchesOf([[['increment', 3]], [['increment', 3]]]).map((batch, writer) => ({
  writer,
  steps: batch.steps.map((one): Step => ({ ...one, opId: OP_IDS[0] })),
}));
const OUT_IN_THE_MIDDLE: [CommandType, number, number][] = [
  ['increment', 2 ** 51, 9],
  ['increment', -(2 ** 51), 3],
  ['increment', 1, 5],
];
/** Found once, but for the middle ones. */
const EXAMPLES = [
  // A part takes a counter to where doubles are no longer exact.
  [[['increment', -MAX]], [['part-put', -2]], [['increment', 1]], [['increment', 2]]],
  // An increment that brings a counter back into range is counted by itself.
  [
    [['increment', 438_711_132_345_007]],
    [['part-put', MAX - 438_711_132_345_006]],
    [['increment', -MAX, 2]],
  ],
  // A run that goes out of range in its middle.
  [OUT_IN_THE_MIDDLE],
  OUT_IN_THE_MIDDLE.map((one) => [one]),
  // The values between are exact, and the multiples of the step are not.
  [[['increment', -MAX]], [['increment', 1_082_167_019_033_993, 10]]],
  // More increments of a field than have dots of their own, and more of others than there is room.
  [[['map-increment', 3, 70]], [['map-increment', -1, 70]], [['map-increment', 2 ** 40, 70]]],
] satisfies [CommandType, number, number?][][][];

/** The functions as they would be with sets in pieces, and pieces in buckets, from the first ones on. */
function cuttingSource(): string {
  const source = librarySource();
  const cutting = source
    .replace(/(local PIECED_FROM =) \d+/, '$1 2')
    .replace(/(local BUCKETED_FROM =) \d+/, '$1 1');
  assert.notEqual(cutting, source);
  return cutting;
}

describe('the functions in Redis against the TypeScript', () => compare(RUNS));
describe('the functions where all sets are in pieces', () =>
  compare(Math.ceil(RUNS / 5), cuttingSource()));

function compare(numRuns: number, library?: string): void {
  let redis: TestRedis;
  let dir: string;
  let number = 0;
  before(async () => {
    redis = await TestRedis.start({ appendfsync: 'everysec' });
    const load = library === undefined ? [] : [['FUNCTION', 'LOAD', 'REPLACE', library]];
    for (const words of load) await (await redis.connect()).command(words);
    dir = await mkdtemp(path.join(tmpdir(), 'memplane-differential-'));
  });
  after(async () => {
    await redis[Symbol.asyncDispose]();
    await rm(dir, { recursive: true });
  });

  /** The store of one writer, as if it had another incarnation for each batch. */
  function local(store: CrdtStore, clock: HybridClock, incarnation: string) {
    return new LocalExecutor({
      ...LIMITS,
      replicaId: 'r',
      store,
      now: () => NOW,
      clock,
      newIncarnation: () => incarnation,
      incarnations: [],
      toError: toMemplaneError,
      batch_commands_max: 100,
      hot_bytes_max: 1,
    });
  }

  it('answers, deltas and digests are equal after each batch of any trace by several writers', async () => {
    const connection = await redis.connect();
    const store = new RedisStore(connection);
    const remote = WRITERS.map(
      (incarnation) =>
        new RedisExecutor({
          ...LIMITS,
          connection,
          store,
          replicaId: 'r',
          batch_commands_max: 100,
          call_elements_max: 1_000,
          now: () => NOW,
          newIncarnation: () => incarnation,
        }),
    );
    await fc.assert(
      fc.asyncProperty(trace, async (batches) => {
        await TestRedis.empty(connection);
        const embedded = await EmbeddedStore.open({
          dir: path.join(dir, String(number++)),
        });
        const clock = new HybridClock({ now: () => NOW, driftMaxMs: 1_000 });
        try {
          for (const { writer, steps } of batches) {
            const here = steps.map(commandOf);
            const there = steps.map(commandOf);
            // A fresh one for each batch: it has nothing in memory that another has written.
            const mineTold = told(local(embedded, clock, WRITERS[writer] ?? ''));
            const theirsTold = told(remote[writer] ?? assert.fail());
            await mineTold.executor.run(here, false);
            await theirsTold.executor.run(there, false);
            assert.deepEqual(there.map(shown), here.map(shown));
            assert.deepEqual(unnumbered(theirsTold.deltas), unnumbered(mineTold.deltas));
            const [mine, theirs] = [await embedded.load(NAMES), await store.load(NAMES)];
            assert.deepEqual(theirs.map(digestsOf), mine.map(digestsOf));
            assert.deepEqual(theirs, mine);
            const used = [await store.loadOps(OPS), await embedded.loadOps(OPS)];
            assert.deepEqual(unnumbered(used[0]), unnumbered(used[1]));
            assert.deepEqual(await store.opCounts(NAMES), await embedded.opCounts(NAMES));
          }
          for (const ref of NAMES) {
            const page = { after: undefined, limit: 100 };
            assert.deepEqual(await store.elements(ref, page), await embedded.elements(ref, page));
          }
          for await (const { stored, computed } of store.verify()) assert.equal(stored, computed);
        } finally {
          await embedded.close();
        }
      }),
      { numRuns, examples: EXAMPLES.map((batches) => [batchesOf(batches)]) },
    );
  });

  it('joins any deltas of any history to the same digests', async () => {
    const connection = await redis.connect();
    const store = new RedisStore(connection);
    const order = fc.array(fc.nat(), { minLength: 1, maxLength: 25 });
    let contested = 0;
    await fc.assert(
      fc.asyncProperty(trace, order, async (batches, picks) => {
        await TestRedis.empty(connection);
        const deltas = await deltasOf(batches);
        if (deltas.length === 0) return;
        const model = new Map<string, ReturnType<typeof emptyModel>>();
        let commits = 0;
        for (const pick of picks) {
          const change = deltas[pick % deltas.length];
          assert.ok(change);
          const { name } = change.ref;
          const mine = model.get(name) ?? emptyModel();
          model.set(name, mine);
          joinModel(mine, change);
          const incarnation = 'e'.repeat(32);
          const commit = { incarnation, hlc: 1n, changes: [change], known: new Map() };
          await store.commit({ ...commit, number: ++commits });
          const [theirs] = await store.load([change.ref]);
          assert.deepEqual(digestsOf(theirs), digestsOfModel(mine));
          const wants = OP_IDS.map((opId) => ({ ref: change.ref, opId }));
          const claims = OP_IDS.map((opId) => mine.counter.claims?.get(opId));
          assert.deepEqual(await store.loadOps(wants), claims);
          const [count] = await store.opCounts([change.ref]);
          assert.equal(count, mine.counter.claims?.size ?? 0);
          if (mine.counter.contested !== undefined) contested++;
        }
        for await (const { stored, computed } of store.verify()) assert.equal(stored, computed);
      }),
      { numRuns, examples: [[COUNTED_TWICE, [0, 1, 0]]] },
    );
    figure('joins after which an operation id was contested', contested);
    assert.ok(contested > 0);
  });

  /** What three replicas that do not know of each other do: every kind of delta there is. */
  async function deltasOf(batches: readonly { writer: number; steps: Step[] }[]) {
    const deltas: Change[] = [];
    const stores = WRITERS.map(() => new Recorder(deltas));
    const executors = WRITERS.map((incarnation, index) => {
      const now = () => NOW + index;
      const store = stores[index];
      assert.ok(store);
      return local(store, new HybridClock({ now, driftMaxMs: 1_000 }), incarnation);
    });
    for (const { writer, steps } of batches) {
      await executors[writer]?.run(steps.map(commandOf), false);
    }
    return deltas;
  }
}

/** Without the numbers of commits: each batch's local executor begins with the first. */
function unnumbered(value: unknown): unknown {
  if (value instanceof Map) {
    return new Map([...value].map(([key, each]) => [key, unnumbered(each)]));
  }
  if (Array.isArray(value)) return value.map(unnumbered);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([key]) => key !== 'commit');
  return Object.fromEntries(entries.map(([key, each]) => [key, unnumbered(each)]));
}

/** What an executor tells of its next commits; their numbers count the batches of one incarnation. */
function told<E extends ReplicatedExecutor>(executor: E) {
  const deltas: { delta: ReplicaDelta; hlc: bigint }[] = [];
  executor.onCommit = ({ delta, hlc }) => deltas.push({ delta: sent([delta]), hlc });
  return { executor, deltas };
}

function emptyModel() {
  const values = { counter: emptyCounter(), set: emptySet(), register: emptyRegister() };
  return { ...values, flag: emptyFlag(), map: emptyMap(), has: new Set() };
}

function joinModel(model: ReturnType<typeof emptyModel>, change: Change): void {
  model.has.add(change.type);
  if (change.type === 'counter') joinCounterInto(model.counter, change.delta);
  else if (change.type === 'set') joinSetInto(model.set, setOfDelta(change.delta));
  else if (change.type === 'register') joinRegisterInto(model.register, change.delta);
  else if (change.type === 'map') joinMapInto(model.map, change.delta);
  else joinFlagInto(model.flag, change.delta);
}

function digestsOfModel({ counter, set, register, flag, map, has }: ReturnType<typeof emptyModel>) {
  const digest = setDigest(set);
  const bytes = [...set.elements.keys()].map((element) => Buffer.byteLength(element));
  const sum = bytes.reduce((a, b) => a + b, 0);
  return {
    counter: has.has('counter') ? recordDigest(encodeCounter(counter)) : undefined,
    register: has.has('register') ? recordDigest(encodeRegister(register)) : undefined,
    flag: has.has('flag') ? flagDigest(flag) : undefined,
    map: has.has('map') ? recordDigest(encodeMap(map)) : undefined,
    set: has.has('set') ? digest : undefined,
    elements: has.has('set') ? [set.elements.size, sum] : undefined,
  };
}

/** A replica in memory that keeps the deltas of its commits. */
class Recorder extends CheckedStore {
  readonly #deltas: Change[];

  constructor(deltas: Change[]) {
    super();
    this.#deltas = deltas;
  }

  override async commit(commit: Commit): Promise<void> {
    this.#deltas.push(...commit.changes.map(copyOf));
    await super.commit(commit);
  }
}

/** As it is now: what is changed in place later stays out of it. */
function copyOf(change: Change): Change {
  if (change.type === 'map') return { ...change, delta: decodeMap(encodeMap(change.delta)) };
  if (change.type !== 'register') return structuredClone(change);
  return { ...change, delta: decodeRegister(encodeRegister(change.delta)) };
}
