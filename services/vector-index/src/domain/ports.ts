import type {
  CloudEvent,
  Cut,
  CutRequest,
  LivenessItem,
  LogShapeAnswer,
  MemplaneError,
} from '@memplane/contracts';
import type { Filter } from '@memplane/filter';
import type { Bitmap } from './bitmap.ts';
import type { Ranked } from './fusion.ts';

/** A record of the log, as the materializer's feed shows it. */
export interface EventLine extends FeedLine {
  readonly event: CloudEvent;
}

export interface FeedLine {
  readonly partition: number;
  readonly offset: number;
  readonly epoch: number;
  /** Absent: those up to here mean nothing for recall. */
  readonly event?: CloudEvent;
  /** The view did not apply it: a second copy, or a reused id. Recall leaves it out too. */
  readonly applied?: boolean;
}

/** Records of one partition, in order. */
export interface PartitionLines {
  readonly partition: number;
  readonly lines: readonly FeedLine[];
  /** The offset that they follow on, all before it included; absent: whatever is applied. */
  readonly after?: number;
}

/** Where the index pulls the log from. */
export interface EventFeed {
  /**
   * The records of a partition from an offset (inclusive) on, in order, as many at a time as come.
   * It may end at any time, with or without an error; the reader goes on from the next offset.
   */
  read(partition: number, from: number, signal: AbortSignal): AsyncIterable<readonly FeedLine[]>;
}

export interface LivenessQuestion {
  readonly tenant: string;
  readonly cut: string;
  readonly atMs: number;
  readonly entityFilter?: { readonly [key: string]: unknown };
  readonly items: readonly LivenessItem[];
  readonly waitMs: number;
}

export interface ResolvedCut extends Cut {
  readonly timeMs: number;
  /** By partition: the first offset whose history can be read. Cuts before the one before it can't. */
  readonly historyStarts: HistoryStarts;
}

export type HistoryStarts = ReadonlyMap<number, number>;

/** Which log the index is of, and how its partitions came about. */
export type LogShape = LogShapeAnswer;

/** What the views are asked. */
export interface Views {
  /** The log as it is now. @throws MemplaneError as `/v1/log` */
  log(signal: AbortSignal): Promise<LogShape>;
  /** For each item, whether the view shows it at the cut. @throws MemplaneError as `/v1/liveness` */
  liveness(question: LivenessQuestion, signal: AbortSignal): Promise<readonly boolean[]>;
  /** The cut that a point in time means, with its time. @throws MemplaneError as `/v1/cuts` */
  resolveCut(request: CutRequest, signal: AbortSignal): Promise<ResolvedCut>;
}

/** Makes vectors of texts. */
export interface Embedder {
  readonly model: string;
  /** @throws MemplaneError `dependency_unavailable` when it can't, after its own bounded retries */
  embed(texts: readonly string[], signal: AbortSignal): Promise<Float32Array[]>;
  close(): Promise<void>;
}

/** Vectors that the plane computed itself, kept durably apart from the index. */
export interface ComputedVectors {
  get(model: string, text: string): Float32Array | undefined;
  /** Durable when it returns. */
  put(model: string, entries: readonly (readonly [text: string, vector: Float32Array])[]): void;
  /**
   * Removes what was computed of some texts, also from the files; another entity that says the same
   * has its vector computed again where it is needed.
   */
  remove(texts: readonly string[]): void;
  /** All of them in a fixed order, page by page; those that come meanwhile may be left out. */
  page(after: StoredVector | undefined, limit: number): StoredVector[];
  close(): void;
}

/** A computed vector as it is kept: the text is not. */
export interface StoredVector {
  readonly model: string;
  /** SHA-256 of the text. */
  readonly textHash: Uint8Array;
  /** Little-endian float32. */
  readonly vector: Uint8Array;
}

/** One version of a memory that a search may show. */
export interface Candidate {
  readonly row: number;
  readonly score: number;
}

/** Everything of a row that an answer shows. */
export interface RowDetails extends LivenessItem {
  readonly text: string | undefined;
  readonly metadata: string | undefined;
}

export interface RankRequest {
  readonly vector: Float32Array | undefined;
  readonly terms: ReadonlyMap<string, number> | undefined;
  /** Rows that may be shown; the statistics of words are those of all rows live at the cut. */
  readonly filter: Filter | undefined;
  readonly entity: string | undefined;
  /** What {@link RecallSnapshot.ahead} of an earlier snapshot has begun for the same request. */
  readonly ahead?: NearestAhead | undefined;
}

/** The rows of one tenant at one cut. Later writes do not show in it. */
export interface RecallSnapshot {
  /** Most rows that {@link rank} can ever give. */
  readonly matches: number;
  /**
   * The best `count` rows, best first. The same rows live at the cut give the same answer where all
   * of it is here; a database elsewhere (a promise) may differ among the nearest of very many.
   * @throws MemplaneError `storage_damaged`, `dependency_unavailable`
   */
  rank(count: number): readonly Candidate[] | Promise<readonly Candidate[]>;
  /**
   * Asks a database elsewhere at once, if {@link rank} would ask one, so that it works while the
   * index still has to apply what the answer must include. A later snapshot takes it up.
   */
  ahead(count: number): NearestAhead | undefined;
  details(row: number): RowDetails;
}

export interface TenantStatus {
  readonly rows: number;
  readonly vectors: number;
  readonly vectorsPending: number;
}

/** What the rows that may be given were chosen by: a database elsewhere may narrow its own search. */
export interface NearestScope {
  readonly filter: Filter | undefined;
  readonly entity: string | undefined;
  readonly ahead?: NearestAhead | undefined;
}

/** A row that a database elsewhere has found. */
export interface NearRow {
  readonly position: number;
  readonly score: number;
}

/** A search of a database elsewhere, under way. */
export interface NearestAsked {
  readonly limit: number;
  /** On the clock of `performance.now()`. */
  readonly askedMs: number;
  readonly found: Promise<readonly NearRow[]>;
}

/** One that was begun before it was settled which rows may be given. */
export interface NearestAhead extends NearestAsked {
  /** Whose rows. */
  readonly of: TenantVectors;
  /** The rows that it can find: any others are to be looked at one by one. */
  readonly findable: Bitmap;
}

/** The vectors of one tenant, by row. Written in the transaction of their owner. */
export interface TenantVectors {
  readonly count: number;
  /** What was found damaged, if anything was. */
  readonly damage: MemplaneError | undefined;
  /** Adds a vector of length 1. @param computed it was made later than its event was applied */
  add(row: number, vector: Float32Array, computed?: boolean): void;
  /** Writes what was added: called before the owner's commit. */
  flush(): void;
  sync(): void;
  close(): void;
  /**
   * The `count` rows of `allowed` nearest to the query, best first, equal scores by `before`, with
   * exact scores. At once where all is here; a promise from a database elsewhere.
   * @param allowedCount how many rows `allowed` has, of `rowCount` in all
   * @throws MemplaneError `storage_damaged`, `dependency_unavailable`
   */
  nearest(
    query: Float32Array,
    count: number,
    allowed: Bitmap,
    allowedCount: number,
    rowCount: number,
    before: (a: number, b: number) => number,
    scope: NearestScope,
  ): readonly Ranked[] | Promise<readonly Ranked[]>;
  /** Begins what {@link nearest} would ask of a database elsewhere; undefined when it would not. */
  ahead?(
    query: Float32Array,
    count: number,
    allowedCount: number,
    rowCount: number,
    scope: NearestScope,
  ): NearestAhead | undefined;
}

/** Where a partition of the log stands. */
export interface PartitionState {
  readonly epoch: number;
  /** Last offset applied; -1: none. */
  readonly applied: number;
  /** That came of its own records: none of before it was split off its parent. */
  readonly rows: number;
  /** Of these rows, whatever order they came in. */
  readonly digest: string;
}

/** Where recall keeps its rows: all of it here, or its vectors in a database elsewhere. */
export interface RecallStore {
  readonly model: string | undefined;
  readonly dimensions: number;
  /** partition → last offset applied */
  readonly applied: ReadonlyMap<number, number>;
  /** Applies records of one partition and their offset as one. Known offsets are left out. */
  apply(partition: number, lines: readonly FeedLine[]): void;
  /** The log that the rows came from; undefined before the first. */
  readonly logId: string | undefined;
  /** Undefined when more may be applied; else what to wait for. */
  room(signal: AbortSignal): Promise<void> | undefined;
  partition(partition: number): PartitionState;
  /** @throws MemplaneError `invalid_filter`, `storage_damaged` */
  snapshot(tenant: string, cut: Cut, timeMs: number, request: RankRequest): RecallSnapshot;
  /** Like {@link snapshot} at all that is applied. */
  latest(tenant: string, cut: Cut, nowMs: number, request: RankRequest): RecallSnapshot;
  status(tenant: string): TenantStatus;
}
