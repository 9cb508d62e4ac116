import { formatHlc } from '@memplane/clock';
import { decodeToken, type Json, MemplaneError, type QueryRequest } from '@memplane/contracts';
import { compileFilter, type Matcher, parseFilter, planFilter } from '@memplane/filter';
import { entriesOf } from '../domain/index-entries.ts';
import { after, ShardKeys, type Table, toKey } from '../domain/keys.ts';
import {
  decodeCursor,
  encodeCursor,
  type QueryCursor,
  queryDigest,
} from '../domain/query-cursor.ts';
import { type EntryRange, inRange, rangesOf, splitEntry } from '../domain/query-plan.ts';
import { decodeHead, decodeOffset } from '../domain/rows.ts';
import type { ShardRecord } from '../domain/shard-record.ts';
import type { Attributes } from '../domain/state.ts';
import type { ViewReader } from '../drivers/view-reader.ts';
import {
  checkHistoryOf,
  cutOfToken,
  latestCut,
  latestIn,
  ownCut,
  type Positions,
  type ResolvedCut,
  resolveAsOf,
  tokenOf,
  waitForTokens,
  waitHere,
} from './cuts.ts';
import { countErased, isErasedAt } from './erased.ts';
import { allPartitions, gather, type Part } from './part.ts';
import { inSnapshot, type Plane, type Waiting } from './plane.ts';

const CHUNK_ROWS = 256;

interface QueryResult {
  readonly entity: string;
  readonly attributes: Json;
  readonly sequence: number;
  readonly asOf: { epoch: number; partition: number; offset: number; hlc: string };
}

export interface QueryAnswer {
  readonly entities: readonly QueryResult[];
  readonly cursor?: string;
  readonly token: string;
  readonly timeMs: number;
  readonly plan: 'index' | 'scan';
  /** Entities that are left out since they were erased; absent: none. */
  readonly erased?: number;
}

type CheckedRequest = QueryRequest & { readonly filter: unknown; readonly limit: number };

/** @throws MemplaneError `invalid_filter`, `invalid_cursor`, and what cuts throw */
export async function queryEntities(
  plane: Plane,
  tenant: string,
  request: CheckedRequest,
  wait: Waiting,
): Promise<QueryAnswer> {
  const filter = parseFilter(request.filter, { field: 'body.filter' });
  const { entityPrefix = '', limit } = request;
  const digest = queryDigest(tenant, request.filter, entityPrefix);
  const from =
    request.cursor === undefined ? undefined : decodeCursor(request.cursor, digest, 'body.cursor');
  await waitForTokens(plane, request.after, wait, undefined, 'body.after');
  const cut = await cutOf(plane, tenant, request, from, wait);
  const field = from === undefined ? 'body.asOf' : 'body.cursor';
  const query = { tenant, filter: request.filter, entityPrefix, limit, from, field };
  const begin = from?.partition ?? 0;
  const pages = await gather(plane, queryPart, {
    partitions: allPartitions(plane).filter((partition) => partition >= begin),
    query: (own) => ({ ...query, cut: cut && partOf(cut, own) }),
    wait,
  });
  const { found, next, offsets, timeMs } = joinPages(pages, limit);
  const erased = pages.reduce((sum, page) => sum + page.erased, 0);
  const whole = cut ?? { offsets: new Map(offsets), timeMs };
  const token = tokenOf(plane, whole);
  return {
    entities: found.map(({ result }) => result),
    ...(next === undefined ? {} : { cursor: encodeCursor({ ...next, token }, digest) }),
    token,
    timeMs: whole.timeMs,
    plan: rangesOf(planFilter(filter)) === undefined ? 'scan' : 'index',
    ...(erased === 0 ? {} : { erased }),
  };
}

/**
 * The cut that a query is about. A cursor pins its own. None where it is whatever is applied, and
 * one snapshot of this instance has all of it.
 */
async function cutOf(
  plane: Plane,
  tenant: string,
  { asOf }: CheckedRequest,
  from: QueryCursor | undefined,
  wait: Waiting,
): Promise<ResolvedCut | undefined> {
  if (from !== undefined) {
    const given = decodeToken(from.token, 'body.cursor');
    const own = ownCut(plane, given, 'body.cursor');
    if (given.epoch < own.epoch) {
      // What it has passed would come again, in other partitions.
      const message = 'The log has grown since: begin the query anew.';
      throw new MemplaneError('invalid_cursor', message, { field: 'body.cursor' });
    }
    const cut = await cutOfToken(plane, own, wait);
    checkHistoryOf(plane, cut, 'body.cursor');
    return cut;
  }
  if (asOf !== undefined) return resolveAsOf(plane, { asOf, tenant, wait, field: 'body.asOf' });
  return plane.peers === undefined ? undefined : latestCut(plane, wait);
}

/** The part of a cut that is about some partitions. */
function partOf({ offsets, timeMs }: ResolvedCut, partitions: readonly number[]): CutPart {
  return { offsets: partitions.map((p) => [p, offsets.get(p) ?? -1]), timeMs };
}

interface CutPart {
  readonly offsets: Positions;
  readonly timeMs: number;
}

interface QueryQuery {
  readonly tenant: string;
  readonly filter: unknown;
  readonly entityPrefix: string;
  readonly limit: number;
  readonly from: QueryPosition | undefined;
  /** Absent: whatever is applied. */
  readonly cut: CutPart | undefined;
  /** What a history that has expired is blamed on. */
  readonly field: string;
}

type QueryPosition = Omit<QueryCursor, 'token'>;

interface FoundEntity {
  readonly result: QueryResult;
  /** Where the next page begins if this is the last one of its page. */
  readonly at: QueryPosition;
}

/** A page of some partitions: as many entities as the whole page may have. */
interface QueryPage extends CutPart {
  readonly found: readonly FoundEntity[];
  readonly erased: number;
  /** Where it ended before its partitions did. */
  readonly next?: QueryPosition;
}

const queryPart: Part<QueryQuery, QueryPage> = {
  name: 'query',
  async run(plane, partitions, query, wait) {
    const filter = parseFilter(query.filter, { field: 'body.filter' });
    const given = query.cut && { ...query.cut, offsets: new Map(query.cut.offsets) };
    if (given !== undefined) {
      await waitHere(plane, given.offsets, wait);
    }
    return inSnapshot(plane, async (reader) => {
      if (given !== undefined) checkHistoryOf(plane, given, query.field);
      const cut = given ?? (await latestIn(plane, reader));
      const { tenant, entityPrefix, limit, from } = query;
      const ranges = rangesOf(planFilter(filter));
      const matches = compileFilter(filter);
      const options = { tenant, cut, matches, ranges, entityPrefix, limit };
      const run = new QueryRun(plane, reader, options);
      const next = await run.page(partitions, from);
      const { offsets, timeMs } = cut;
      const { found } = run;
      const erased = await run.erased(partitions);
      return {
        found,
        erased,
        ...(next === undefined ? {} : { next }),
        offsets: [...offsets],
        timeMs,
      };
    });
  },
};

export const QUERY_PARTS = [queryPart];

/**
 * Joins what the owners have found, in the order of partitions: up to the limit, or to where an
 * owner has ended early, since what it has beyond is not known.
 */
function joinPages(pages: readonly QueryPage[], limit: number) {
  const ends = pages.flatMap(({ next }) => (next === undefined ? [] : [next]));
  const end = ends.sort((a, b) => a.partition - b.partition)[0];
  const found = pages
    .flatMap((page) => page.found)
    .filter(({ at }) => end === undefined || at.partition <= end.partition)
    .sort((a, b) => a.at.partition - b.at.partition);
  const last = found[limit - 1];
  const offsets = pages.flatMap((page) => page.offsets).sort(([a], [b]) => a - b);
  const timeMs = Math.max(0, ...pages.map((page) => page.timeMs));
  return { found: found.slice(0, limit), next: last?.at ?? end, offsets, timeMs };
}

interface RunOptions {
  readonly tenant: string;
  readonly cut: ResolvedCut;
  readonly matches: Matcher;
  readonly ranges: readonly EntryRange[] | undefined;
  readonly entityPrefix: string;
  readonly limit: number;
}

/** One pass over a part of the keys of one partition. */
interface Step {
  readonly table: Table;
  readonly gte: string;
  readonly lt: string;
  /** Of the index: the number of the range. */
  readonly range?: number;
}

interface NumberedStep extends Step {
  /** Among the steps of the plan. */
  readonly number: number;
}

interface Candidate {
  /** Without the table's prefix. */
  readonly key: string;
  readonly entity: string;
  readonly entry?: string;
  readonly isWithinCut: boolean;
}

/** One page of a query: partition by partition, step by step. */
class QueryRun {
  readonly #plane: Plane;
  readonly #reader: ViewReader;
  readonly #options: RunOptions;
  readonly found: FoundEntity[] = [];
  #rowsLeft: number;
  #records: (ShardRecord | undefined)[] | undefined;

  constructor(plane: Plane, reader: ViewReader, options: RunOptions) {
    this.#plane = plane;
    this.#reader = reader;
    this.#options = options;
    this.#rowsLeft = plane.settings.query_scan_rows_max;
  }

  /** @returns where the next page begins; nothing after the last */
  async page(
    partitions: readonly number[],
    from: QueryPosition | undefined,
  ): Promise<QueryPosition | undefined> {
    const steps = this.#steps();
    for (const partition of partitions) {
      const isFirst = partition === from?.partition;
      for (let step = isFirst ? (from?.step ?? 0) : 0; step < steps.length; step++) {
        const key = isFirst && step === from?.step ? from.key : '';
        const part = { ...(steps[step] as Step), number: step };
        const end = await this.#step(partition, part, key);
        if (end !== undefined) return { partition, step, key: end };
      }
    }
    return undefined;
  }

  /** Entities of some partitions that are left out since they were erased. */
  async erased(partitions: readonly number[]): Promise<number> {
    const { tenant, cut, entityPrefix } = this.#options;
    let count = 0;
    for (const partition of partitions) {
      if (!(await this.#hasErasures(partition))) continue;
      const keys = new ShardKeys(tenant, partition);
      const cutOffset = cut.offsets.get(partition) ?? -1;
      count += await countErased(this.#reader, keys, cutOffset, entityPrefix);
    }
    return count;
  }

  async #hasErasures(partition: number): Promise<boolean> {
    this.#records ??= await this.#reader.shards(this.#plane.shards.partitions);
    return this.#records[partition]?.erasures !== undefined;
  }

  #steps(): Step[] {
    const { ranges, entityPrefix } = this.#options;
    if (ranges === undefined) {
      const lt = entityPrefix === '' ? '' : after(entityPrefix);
      return [{ table: 'h', gte: entityPrefix, lt }];
    }
    const tables: Table[] = ['x', 'y'];
    return tables.flatMap((table) =>
      ranges.map(({ gte, lt }, range): Step => ({ table, gte, lt, range })),
    );
  }

  /** @returns the key after which to go on, when the page is full */
  async #step(partition: number, step: NumberedStep, fromKey: string): Promise<string | undefined> {
    const { cut, tenant } = this.#options;
    const cutOffset = cut.offsets.get(partition) ?? -1;
    if (cutOffset < 0) return undefined;
    // At the newest offset nothing former holds.
    if (step.table === 'y' && cutOffset >= (await this.#applied(partition))) return undefined;
    const keys = new ShardKeys(tenant, partition);
    const prefix = keys.table(step.table);
    const range = {
      ...(fromKey === '' ? { gte: toKey(prefix + step.gte) } : { gt: toKey(prefix + fromKey) }),
      lt: toKey(step.lt === '' ? after(prefix) : prefix + step.lt),
      snapshot: this.#reader.snapshot,
      chunkRows: CHUNK_ROWS,
    };
    for await (const rows of this.#reader.rocks.scan(range)) {
      const candidates = rows.map(({ key, value }) =>
        candidateOf(step.table, key.toString('latin1', prefix.length), value, cutOffset),
      );
      const end = await this.#check(keys, candidates, step, cutOffset);
      if (end !== undefined) return end;
    }
    return undefined;
  }

  async #applied(partition: number): Promise<number> {
    this.#records ??= await this.#reader.shards(this.#plane.shards.partitions);
    return this.#records[partition]?.applied ?? -1;
  }

  async #check(
    keys: ShardKeys,
    candidates: readonly Candidate[],
    step: NumberedStep,
    cutOffset: number,
  ): Promise<string | undefined> {
    const { entityPrefix, limit } = this.#options;
    const wanted = candidates.filter(
      ({ entity, isWithinCut }) => isWithinCut && entity.startsWith(entityPrefix),
    );
    const rows = await this.#reader.getMany(wanted.map(({ entity }) => toKey(keys.head(entity))));
    const heads = new Map(wanted.map((candidate, i) => [candidate, rows[i] ?? null]));
    const entities = wanted.map(({ entity }) => entity);
    const hasErasures = await this.#hasErasures(keys.partition);
    const offsets = hasErasures ? await this.#reader.erasedAt(keys, entities) : [];
    const erasures = new Map(entities.map((entity, i) => [entity, offsets[i] ?? -1]));
    let done = candidates[0]?.key;
    for (const candidate of candidates) {
      if (this.found.length === limit || this.#rowsLeft === 0) return done;
      done = candidate.key;
      this.#rowsLeft--;
      const row = heads.get(candidate);
      const erasedAt = erasures.get(candidate.entity) ?? -1;
      if (row) await this.#judge(keys, candidate, row, step, cutOffset, erasedAt);
    }
    return this.found.length === limit || this.#rowsLeft === 0 ? done : undefined;
  }

  async #judge(
    keys: ShardKeys,
    { key, entity, entry }: Candidate,
    row: Buffer,
    step: NumberedStep,
    cutOffset: number,
    erasedAt: number,
  ): Promise<void> {
    const head = decodeHead(row);
    if (isErasedAt(erasedAt, cutOffset, head.offset)) return;
    let attributes: Attributes;
    let { sequence, hlc } = head;
    if (head.offset <= cutOffset) attributes = JSON.parse(head.attributes.toString()) as Attributes;
    else {
      const past = await this.#reader.stateAt(keys, entity, cutOffset);
      if (past === undefined || isErasedAt(erasedAt, cutOffset, past.state.offset)) return;
      ({ attributes, sequence, hlc } = past.state);
    }
    if (!this.#options.matches(attributes)) return;
    if (entry !== undefined && !this.#isFirst(attributes, entry, step)) return;
    const { epoch } = this.#plane.log.info;
    const asOf = { epoch, partition: keys.partition, offset: cutOffset, hlc: formatHlc(hlc) };
    const at = { partition: keys.partition, step: step.number, key };
    this.found.push({ result: { entity, attributes, sequence, asOf }, at });
  }

  /** Several entries of an entity may lie in the ranges: it is told at the first of them. */
  #isFirst(attributes: Attributes, entry: string, step: Step): boolean {
    const { ranges = [] } = this.#options;
    const entries = [...entriesOf(attributes)];
    for (const [i, range] of ranges.entries()) {
      let first: string | undefined;
      for (const other of entries) {
        if (inRange(other, range) && (first === undefined || other < first)) first = other;
      }
      if (first !== undefined) return i === step.range && first === entry;
    }
    return false;
  }
}

function candidateOf(table: Table, key: string, value: Buffer, cutOffset: number): Candidate {
  if (table === 'h') return { key, entity: key, isWithinCut: true };
  const { entry, rest } = splitEntry(key);
  const at = decodeOffset(value);
  if (table === 'x') return { key, entity: rest, entry, isWithinCut: at <= cutOffset };
  const end = rest.indexOf('\x00');
  const from = Buffer.from(rest.slice(end + 1), 'latin1').readUIntBE(0, 6);
  const isWithinCut = from <= cutOffset && cutOffset < at;
  return { key, entity: rest.slice(0, end), entry, isWithinCut };
}
