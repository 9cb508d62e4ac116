import {
  type Claim,
  type CounterState,
  cloneContext,
  counterExists,
  counterSum,
  type Dot,
  type ElementState,
  elementLattice,
  emptyCounter,
  emptyFlag,
  emptyMap,
  emptyRegister,
  type FlagState,
  mapBytes,
  type OrMapState,
  type OrSetState,
  type RegisterState,
  type SetDelta,
  setDeltaLattice,
} from '@memplane/crdt';
import type { Change, ChangedOp, CrdtType, LoadedName, Ref, SetHeader } from './port.ts';

/**
 * One name in memory: its joined states, and what the batch under way has changed. Increments of
 * one batch are gathered in `value` and become one delta when the batch ends, so that a hot counter
 * costs an addition an increment and one record a batch.
 */
export class Slot {
  readonly ref: Ref;
  readonly counter: CounterState;
  readonly register: RegisterState;
  readonly flag: FlagState;
  readonly map: OrMapState;
  set: SetHeader;

  /** The counter's value with what the batch added; imprecise, and unsafe, beyond ± (2^53 − 1). */
  value: number;
  /** The same before the batch added anything. */
  valueBefore: number;
  /** Increments that are not yet in `counter`. */
  pending = 0;
  exists: boolean;

  /** What the batch has changed, as deltas; undefined where nothing. */
  counterDelta: CounterState | undefined = undefined;
  registerDelta: RegisterState | undefined = undefined;
  flagDelta: FlagState | undefined = undefined;
  mapDelta: OrMapState | undefined = undefined;
  setDelta: SetDelta | undefined = undefined;
  setCleared = false;
  /** Operation ids whose claims the batch has set, with those of before. */
  readonly opsBefore = new Map<string, Claim | undefined>();
  /** What joins of the batch have found to be contested, and others must be told. */
  found: CounterState | undefined = undefined;
  /** Elements that the batch loaded or touched, with their dots now. */
  readonly elements = new Map<string, readonly Dot[]>();
  readonly touched = new Set<string>();
  /** Operation ids that the counter remembers, in the store and new ones; undefined: not looked up. */
  opCount: number | undefined = undefined;
  /** No less than the bytes of the map; undefined: not counted. */
  mapBytes: number | undefined = undefined;
  dirty = false;
  /** Its weight as the cache has counted it. */
  keptBytes = 0;

  constructor(ref: Ref, loaded: LoadedName) {
    this.ref = ref;
    this.counter = loaded.counter ?? emptyCounter();
    this.register = loaded.register ?? emptyRegister();
    this.flag = loaded.flag ?? emptyFlag();
    this.map = loaded.map ?? emptyMap();
    this.set = loaded.set ?? {
      context: new Map(),
      elements: 0,
      elementBytes: 0,
      elementsDigest: 0n,
    };
    this.value = Number(counterSum(this.counter));
    this.valueBefore = this.value;
    this.exists = counterExists(this.counter);
  }

  /** The type that the name holds at the moment, if any. */
  get holds(): CrdtType | undefined {
    if (this.exists) return 'counter';
    if (this.set.elements > 0) return 'set';
    if (this.register.versions.length > 0) return 'register';
    return this.map.root.children.size > 0 ? 'map' : undefined;
  }

  /** A claim that the store has: of the counter's, only those that the batch needs are here. */
  knowClaim(opId: string, claim: Claim): void {
    this.counter.claims ??= new Map();
    this.counter.claims.set(opId, claim);
  }

  /** Takes note that a batch is about to change an id's claim. */
  touchOp(opId: string): void {
    if (this.opsBefore.has(opId)) return;
    const before = this.counter.claims?.get(opId);
    this.opsBefore.set(opId, before);
    if (before === undefined) this.opCount = (this.opCount ?? 0) + 1;
  }

  /** A set of just one element and the whole context: enough for what is done to that element. */
  setOf(element: string): OrSetState {
    const dots = this.elements.get(element) ?? [];
    const elements = new Map(dots.length > 0 ? [[element, dots]] : []);
    return { elements, context: this.set.context };
  }

  /** Adds to the delta what became of an element. `part` is given away. */
  patchSet(element: string, part: ElementState): void {
    this.setDelta ??= setDeltaLattice.bottom();
    const { patch } = this.setDelta;
    const before = patch.get(element);
    if (before === undefined) patch.set(element, part);
    else elementLattice.joinInto(before, part);
  }

  /** The delta of a reset has seen all that the batch did before. */
  clearSet(): void {
    this.setDelta = { patch: new Map(), cleared: cloneContext(this.set.context) };
  }

  /** Roughly the bytes of memory that it takes to keep it. */
  get weight(): number {
    let weight = 600 + this.ref.name.length;
    weight += 160 * (this.counter.entries.size + this.set.context.size);
    for (const claims of this.counter.contested?.values() ?? []) weight += 200 * claims.length;
    weight += 160 * this.register.context.size + 100 * (this.counter.parts?.byPartition.size ?? 0);
    for (const voters of this.flag.votes.values()) weight += 100 + 80 * voters.size;
    for (const { value } of this.register.versions) weight += 200 + sizeOf(value);
    if (this.map.context.size > 0) {
      this.mapBytes ??= mapBytes(this.map);
      // Small objects around each few bytes.
      weight += 12 * this.mapBytes;
    }
    return weight;
  }

  /** What the batch changed; valid until {@link endBatch}. */
  changes(): Change[] {
    const changes: Change[] = [];
    const { ref } = this;
    if (this.counterDelta) {
      const ops: ChangedOp[] = [];
      for (const [opId, before] of this.opsBefore) {
        const claim = this.counter.claims?.get(opId);
        if (claim !== undefined) ops.push({ opId, claim, before });
      }
      changes.push({ type: 'counter', ref, delta: this.counterDelta, state: this.counter, ops });
    }
    if (this.registerDelta) {
      const { registerDelta: delta } = this;
      changes.push({ type: 'register', ref, delta, state: this.register });
    }
    if (this.flagDelta) {
      changes.push({ type: 'flag', ref, delta: this.flagDelta, state: this.flag });
    }
    if (this.mapDelta) {
      changes.push({ type: 'map', ref, delta: this.mapDelta, state: this.map });
    }
    if (this.setDelta) {
      const touched = new Map<string, readonly Dot[]>();
      for (const element of this.touched) touched.set(element, this.elements.get(element) ?? []);
      const { setDelta: delta, setCleared: cleared, set: header } = this;
      changes.push({ type: 'set', ref, delta, header, cleared, touched });
    }
    return changes;
  }

  /** Forgets what belongs to the batch. */
  endBatch(): void {
    this.counterDelta = undefined;
    this.registerDelta = undefined;
    this.flagDelta = undefined;
    this.mapDelta = undefined;
    this.setDelta = undefined;
    this.setCleared = false;
    this.opsBefore.clear();
    this.found = undefined;
    this.counter.claims = undefined;
    this.elements.clear();
    this.touched.clear();
    this.valueBefore = this.value;
    this.dirty = false;
  }
}

function sizeOf(value: unknown): number {
  if (typeof value === 'string') return value.length * 2;
  if (typeof value !== 'object' || value === null) return 8;
  return JSON.stringify(value).length * 3;
}
