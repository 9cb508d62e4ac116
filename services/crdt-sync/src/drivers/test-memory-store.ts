import { MemplaneError } from '@memplane/contracts';
import {
  addDigests,
  type Claim,
  cloneContext,
  cloneCounter,
  cloneFlag,
  cloneMap,
  cloneRegister,
  cloneSet,
  counterDigest,
  emptyCounter,
  emptySet,
  encodeContext,
  encodeMap,
  flagDigest,
  formatDigest,
  type Incarnation,
  type OrSetState,
  recordDigest,
  registerDigest,
  setDigest,
  sortedClaims,
} from '@memplane/crdt';
import * as port from '../domain/port.ts';
import { type SetPieces, WholePieces } from '../domain/set-pieces.ts';

/** What a name holds, and of a set what its header said. */
interface Held {
  readonly ref: port.Ref;
  readonly values: port.NamedState;
  readonly header: port.SetHeader | undefined;
  readonly ops: ReadonlyMap<string, Claim>;
}

/** A store that outlasts its users in memory only: as quick as property tests need it. */
export class MemoryStore implements port.CrdtStore {
  readonly pieces: SetPieces;
  readonly #names = new Map<string, Held>();
  readonly #incarnations = new Map<Incarnation, port.IncarnationRecord>();
  #lastStamp = 0n;
  readonly #damaged = new Set<string>();

  /** @param keepsPieces else it has digests of no set, as of one that was written long ago */
  constructor(keepsPieces = true) {
    const cut = async (ref: port.Ref) => (keepsPieces ? await this.#pieces(ref) : undefined);
    this.pieces = {
      digests: async (ref, prefixes) => (await cut(ref))?.digests(prefixes),
      below: async (ref, prefixes, max) => (await cut(ref))?.below(prefixes, max),
    };
  }

  async load(refs: readonly port.Ref[]): Promise<port.LoadedName[]> {
    return refs.map((ref) => {
      const { header, values } = this.#held(ref);
      const isDamaged = port.KEPT_TYPES.some((type) => this.#damaged.has(placeOf(type, ref)));
      return {
        ...(isDamaged ? { damaged: damage() } : {}),
        counter: values.counter && cloneCounter(values.counter),
        set: header && { ...header, context: cloneContext(header.context) },
        register: values.register && cloneRegister(values.register),
        flag: values.flag && cloneFlag(values.flag),
        map: values.map && cloneMap(values.map),
      };
    });
  }

  async loadElements(wants: readonly { readonly ref: port.Ref; readonly element: string }[]) {
    return wants.map(({ ref, element }) => this.#held(ref).values.set?.elements.get(element));
  }

  async loadOps(wants: readonly { readonly ref: port.Ref; readonly opId: string }[]) {
    return wants.map(({ ref, opId }) => this.#held(ref).ops.get(opId));
  }

  async opCounts(refs: readonly port.Ref[]): Promise<number[]> {
    return refs.map((ref) => this.#held(ref).ops.size);
  }

  async oldestOps(ref: port.Ref, limit: number): Promise<port.KnownOp[]> {
    const ops = sortedClaims(this.#held(ref).ops).slice(0, limit);
    return ops.map(([opId, claim]) => ({ opId, claim }));
  }

  async forgetOps(ref: port.Ref, ended: readonly port.KnownOp[]): Promise<void> {
    const held = this.#held(ref);
    const ops = new Map(held.ops);
    for (const { opId } of ended) ops.delete(opId);
    this.#names.set(keyOf(ref), { ...held, ops });
  }

  async commit({ incarnation, number, hlc, changes, known }: port.Commit): Promise<void> {
    for (const change of changes) {
      const held = this.#held(change.ref);
      this.#names.set(keyOf(change.ref), changed(held, change));
    }
    const commits = number === undefined ? known : new Map([...known, [incarnation, number]]);
    for (const [raised, upTo] of commits) {
      this.#incarnations.set(raised, { incarnation: raised, commits: upTo, hlc });
    }
    if (hlc > this.#lastStamp) this.#lastStamp = hlc;
  }

  async elements(ref: port.Ref, page: port.Page): Promise<string[]> {
    const elements = [...(this.#held(ref).values.set?.elements.keys() ?? [])].sort(byBytes);
    return elements
      .filter((element) => page.after === undefined || byBytes(element, page.after) > 0)
      .slice(0, page.limit);
  }

  async list(tenant: string, type: port.CrdtType, page: port.Page): Promise<port.ListedName[]> {
    const after = { tenant, type, name: page.after ?? '' };
    const rows = (
      await this.digests({ after, limit: this.#names.size * port.KEPT_TYPES.length })
    ).filter((row) => row.tenant === tenant && row.type === type);
    const refs = rows.slice(0, page.limit);
    const loaded = await this.load(refs);
    return refs.map(({ name }, index) => ({ name, [type]: loaded[index]?.[type] }));
  }

  async incarnations(): Promise<port.IncarnationRecord[]> {
    return [...this.#incarnations.values()];
  }

  async lastStamp(): Promise<bigint> {
    return this.#lastStamp;
  }

  async digests({ after, limit }: port.DigestPage): Promise<port.ValueDigest[]> {
    const values: port.ValueDigest[] = [];
    for await (const { stored, computed: _, ...value } of this.verify()) {
      values.push({ ...value, digest: stored });
    }
    const behind = values.filter((value) => after === undefined || byPlace(value, after) > 0);
    return behind.slice(0, limit);
  }

  async state(ref: port.Ref): Promise<port.NamedState> {
    if (port.KEPT_TYPES.some((type) => this.#damaged.has(placeOf(type, ref)))) throw damage();
    const { values, ops } = this.#held(ref);
    const counter = values.counter ?? (ops.size > 0 ? emptyCounter() : undefined);
    const claims = ops.size > 0 ? new Map(ops) : undefined;
    return {
      counter: counter && { ...cloneCounter(counter), claims },
      set: values.set && cloneSet(values.set),
      register: values.register && cloneRegister(values.register),
      flag: values.flag && cloneFlag(values.flag),
      map: values.map && cloneMap(values.map),
    };
  }

  async *verify(): AsyncGenerator<port.VerifiedValue> {
    const held = [...this.#names.values()].flatMap((each) =>
      port.KEPT_TYPES.map((type) => ({ ...each.ref, type, held: each })),
    );
    for (const { held: one, ...value } of held.sort(byPlace)) {
      const digests = digestsOf(one, value.type);
      if (digests === undefined) continue;
      const isDamaged = this.#damaged.has(placeOf(value.type, value));
      yield { ...value, ...digests, ...(isDamaged ? { computed: '0'.repeat(32) } : {}) };
    }
  }

  async #pieces(ref: port.Ref): Promise<WholePieces> {
    const { set } = await this.state(ref);
    return new WholePieces(set ?? emptySet());
  }

  async settle(): Promise<void> {}

  /** From now on a stored value is one that does not have its digest. */
  damage(type: port.KeptType, ref: port.Ref): void {
    this.#damaged.add(placeOf(type, ref));
  }

  async discard(type: port.KeptType, ref: port.Ref): Promise<void> {
    const held = this.#held(ref);
    const values = { ...held.values, [type]: undefined };
    const header = type === 'set' ? undefined : held.header;
    const ops = type === 'counter' ? new Map() : held.ops;
    this.#names.set(keyOf(ref), { ref, values, header, ops });
    this.#damaged.delete(placeOf(type, ref));
  }

  /** Changes a value without anybody's commit. */
  change(ref: port.Ref, values: port.NamedState): void {
    const held = this.#held(ref);
    this.#names.set(keyOf(ref), { ...held, values: { ...held.values, ...values } });
  }

  async close(): Promise<void> {}

  #held(ref: port.Ref): Held {
    const nothing = { ref, values: {}, header: undefined, ops: new Map() };
    return this.#names.get(keyOf(ref)) ?? nothing;
  }
}

function changed(held: Held, change: port.Change): Held {
  const { values } = held;
  if (change.type === 'register') {
    return { ...held, values: { ...values, register: cloneRegister(change.state) } };
  }
  if (change.type === 'flag') {
    return { ...held, values: { ...values, flag: cloneFlag(change.state) } };
  }
  if (change.type === 'map') {
    return { ...held, values: { ...values, map: cloneMap(change.state) } };
  }
  if (change.type === 'set') {
    const { header } = change;
    const context = cloneContext(header.context);
    const set: OrSetState = { elements: new Map(values.set?.elements), context };
    if (change.cleared) set.elements.clear();
    for (const [element, dots] of change.touched) {
      if (dots.length > 0) set.elements.set(element, dots);
      else set.elements.delete(element);
    }
    return { ...held, values: { ...values, set }, header: { ...header, context } };
  }
  const used = change.ops.map(({ opId, claim }) => [opId, claim] as const);
  const counter = { ...cloneCounter(change.state), claims: undefined };
  return { ...held, values: { ...values, counter }, ops: new Map([...held.ops, ...used]) };
}

function digestsOf({ values, header }: Held, type: port.KeptType) {
  const { counter, set, register, flag, map } = values;
  const same = (digest: bigint) => ({
    stored: formatDigest(digest),
    computed: formatDigest(digest),
  });
  if (type === 'counter') return counter && same(counterDigest(counter));
  if (type === 'register') return register && same(registerDigest(register));
  if (type === 'flag') return flag && same(flagDigest(flag));
  if (type === 'map') return map && same(recordDigest(encodeMap(map)));
  if (set === undefined || header === undefined) return undefined;
  const stored = addDigests(recordDigest(encodeContext(header.context)), header.elementsDigest);
  return { stored: formatDigest(stored), computed: formatDigest(setDigest(set)) };
}

function placeOf(type: port.KeptType, ref: port.Ref): string {
  return `${type} ${keyOf(ref)}`;
}

function damage(): MemplaneError {
  return new MemplaneError('storage_damaged', 'A stored value is damaged, as a test wants it.');
}

function keyOf({ tenant, name }: port.Ref): string {
  return `${tenant}\0${name}`;
}

function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

type Place = port.Ref & { readonly type: port.KeptType };

function byPlace(a: Place, b: Place): number {
  const types = port.KEPT_TYPES;
  const order = byBytes(a.tenant, b.tenant) || types.indexOf(a.type) - types.indexOf(b.type);
  return order || byBytes(a.name, b.name);
}
