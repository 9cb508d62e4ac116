import type { MemplaneError } from '@memplane/contracts';
import type {
  CausalContext,
  Claim,
  CounterState,
  Dot,
  FlagState,
  Incarnation,
  OrMapState,
  OrSetState,
  RegisterState,
  SetDelta,
} from '@memplane/crdt';
import type { SetPieces } from './set-pieces.ts';

export type CrdtType = 'counter' | 'set' | 'register' | 'map';
/** A flag is beside what a name holds: it keeps nothing else from standing there, and is never reset. */
export type KeptType = CrdtType | 'flag';
export const KEPT_TYPES: readonly KeptType[] = ['counter', 'set', 'register', 'flag', 'map'];

export interface Ref {
  readonly tenant: string;
  readonly name: string;
}

/** A set without its elements, which are stored one by one. */
export interface SetHeader {
  readonly context: CausalContext;
  /** Elements that stand, and their bytes as UTF-8: what the bounds on a set go by. */
  readonly elements: number;
  readonly elementBytes: number;
  /** The sum of the digests of the elements' records. */
  readonly elementsDigest: bigint;
}

/** What a name holds; a name that never held a type has none of it. */
export interface LoadedName {
  /** Why the name can not be used, where a stored value of it is damaged. */
  readonly damaged?: MemplaneError;
  readonly counter: CounterState | undefined;
  readonly set: SetHeader | undefined;
  readonly register: RegisterState | undefined;
  readonly flag?: FlagState | undefined;
  readonly map?: OrMapState | undefined;
}

export interface CounterChange {
  readonly type: 'counter';
  readonly ref: Ref;
  readonly delta: CounterState;
  /** The joined state, but for its claims; see {@link CrdtStore.commit}. */
  readonly state: CounterState;
  /** Operation ids that were used, or for which a lesser claim came. */
  readonly ops: readonly ChangedOp[];
}

/** An operation id of a counter, and where it was counted. */
export interface KnownOp {
  readonly opId: string;
  readonly claim: Claim;
}

export interface ChangedOp extends KnownOp {
  /** The claim that stood there before. */
  readonly before: Claim | undefined;
}

export interface RegisterChange {
  readonly type: 'register';
  readonly ref: Ref;
  readonly delta: RegisterState;
  readonly state: RegisterState;
}

export interface SetChange {
  readonly type: 'set';
  readonly ref: Ref;
  readonly delta: SetDelta;
  readonly header: SetHeader;
  /** All elements of before go first. */
  readonly cleared: boolean;
  /** The dots of each element touched, after the join; none: it does not stand any more. */
  readonly touched: ReadonlyMap<string, readonly Dot[]>;
}

export interface FlagChange {
  readonly type: 'flag';
  readonly ref: Ref;
  readonly delta: FlagState;
  readonly state: FlagState;
}

export interface MapChange {
  readonly type: 'map';
  readonly ref: Ref;
  readonly delta: OrMapState;
  readonly state: OrMapState;
}

export type Change = CounterChange | RegisterChange | SetChange | FlagChange | MapChange;

export interface Commit {
  readonly incarnation: Incarnation;
  /** Counts up from 1 within the incarnation; undefined where nothing is of its own making. */
  readonly number: number | undefined;
  /** The clock's last stamp: the floor of the next start. */
  readonly hlc: bigint;
  readonly changes: readonly Change[];
  /** Other incarnations of which more is here than before, with the number up to which all is. */
  readonly known: ReadonlyMap<Incarnation, number>;
}

/** What is kept of each incarnation, of this replica or another, of whose commits any is here. */
export interface IncarnationRecord {
  readonly incarnation: Incarnation;
  /** All up to this one are here. */
  readonly commits: number;
  /** The stamp of the commit that raised it. */
  readonly hlc: bigint;
}

/** A name of one type, with what it holds of it: nothing where that is damaged. */
export interface ListedName {
  readonly name: string;
  readonly counter?: CounterState | undefined;
  readonly set?: SetHeader | undefined;
  readonly register?: RegisterState | undefined;
}

export interface Page {
  /** Begin after this one. */
  readonly after: string | undefined;
  readonly limit: number;
}

/**
 * All that a name holds, each as it would join in elsewhere; absent what it never held. A counter is
 * with all the operation ids that it remembers.
 */
export interface NamedState {
  readonly counter?: CounterState | undefined;
  readonly set?: OrSetState | undefined;
  readonly register?: RegisterState | undefined;
  readonly flag?: FlagState | undefined;
  readonly map?: OrMapState | undefined;
}

/** A value by its digest: equal ones are equal values, whatever replica or driver has them. */
export interface ValueDigest extends Ref {
  readonly type: KeptType;
  /** 32 hex digits. */
  readonly digest: string;
}

export interface DigestPage {
  /** Begin after this one. */
  readonly after: (Ref & { readonly type: KeptType }) | undefined;
  readonly limit: number;
}

/** One stored value as a check found it. */
export interface VerifiedValue {
  readonly tenant: string;
  readonly type: KeptType;
  readonly name: string;
  /** 32 hex digits; what was stored beside the value, and what it comes to now. */
  readonly stored: string;
  readonly computed: string;
}

/**
 * Where one replica keeps its CRDTs. Every driver passes the suite of `drivers/contract.ts`.
 * A replica has one service at a time as its writer. All reads show whole commits only.
 */
export interface CrdtStore {
  readonly pieces: SetPieces;
  load(refs: readonly Ref[]): Promise<LoadedName[]>;
  loadElements(
    wants: readonly { readonly ref: Ref; readonly element: string }[],
  ): Promise<(readonly Dot[] | undefined)[]>;
  loadOps(
    wants: readonly { readonly ref: Ref; readonly opId: string }[],
  ): Promise<(Claim | undefined)[]>;
  /** How many operation ids each counter remembers. */
  opCounts(refs: readonly Ref[]): Promise<number[]>;
  /** Those of a counter with the lowest stamps, lowest first. */
  oldestOps(ref: Ref, limit: number): Promise<KnownOp[]>;
  /** Forgets operation ids whose claims are still these. */
  forgetOps(ref: Ref, ops: readonly KnownOp[]): Promise<void>;
  /**
   * Makes changes durable, all or none. `state`, `header` and `touched` are the join of `delta`
   * with what was loaded, right while this caller is the only writer; a driver for a server that
   * others write to joins `delta` there instead.
   * @throws MemplaneError `storage_full`, `storage_unavailable`. Then it is unknown whether the
   * changes are there: load again, and go on with another incarnation.
   */
  commit(commit: Commit): Promise<void>;
  /** Elements in the order of their UTF-8 bytes, as of the call. */
  elements(ref: Ref, page: Page): Promise<string[]>;
  /** Names of one type in order, as of the call; those that hold nothing any more too. */
  list(tenant: string, type: CrdtType, page: Page): Promise<ListedName[]>;
  incarnations(): Promise<IncarnationRecord[]>;
  /** The highest stamp of any commit: the floor of the next start's clock. */
  lastStamp(): Promise<bigint>;
  /**
   * Digests of all values as they are stored, as of the call: by tenant, then by type in the order
   * of {@link KEPT_TYPES}, then by name. Fewer than `limit` are the last.
   */
  digests(page: DigestPage): Promise<ValueDigest[]>;
  /**
   * All that a name holds, as of one moment.
   * @throws MemplaneError `storage_damaged`: what is damaged must not spread
   */
  state(ref: Ref): Promise<NamedState>;
  /**
   * Waits until all that was read so far is on disk: what another replica takes over, and this one
   * could still lose, nobody would ever compare.
   * @throws MemplaneError `storage_unavailable` where that is not to be known
   */
  settle(): Promise<void>;
  /**
   * Drops a value, with all that belongs to it, as if the name had never held it; durable when it
   * resolves. For one that is damaged, and that others have.
   * @throws MemplaneError as `commit`
   */
  discard(type: KeptType, ref: Ref): Promise<void>;
  /** Reads all values, as of the call, and computes their digests anew. */
  verify(): AsyncIterable<VerifiedValue>;
  close(): Promise<void>;
}
