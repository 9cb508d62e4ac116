import { formatHlc } from '@memplane/clock';
import { decodeToken, type Json, type QueryRequest } from '@memplane/contracts';
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
  checkCut,
  checkHistoryOf,
  cutOfToken,
  latestCut,
  type ResolvedCut,
  resolveAsOf,
  tokenOf,
  waitForTokens,
} from './cuts.ts';
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
  const entityPrefix = request.entityPrefix ?? '';
  const digest = queryDigest(tenant, request.filter, entityPrefix);
  const from =
    request.cursor === undefined ? undefined : decodeCursor(request.cursor, digest, 'body.cursor');
  await waitForTokens(plane, request.after, wait, undefined, 'body.after');
  const past = await pastCut(plane, tenant, request, from, wait);
  const ranges = rangesOf(planFilter(filter));
  return inSnapshot(plane, async (reader) => {
    if (past) checkHistoryOf(plane, past, from === undefined ? 'body.asOf' : 'body.cursor');
    const cut = past ?? (await latestCut(plane, reader));
    const run = new QueryRun(plane, reader, {
      tenant,
      cut,
      matches: compileFilter(filter),
      ranges,
      entityPrefix,
      limit: request.limit,
    });
    const token = tokenOf(plane, cut);
    const next = await run.page(from);
    return {
      entities: run.results,
      ...(next === undefined ? {} : { cursor: encodeCursor({ ...next, token }, digest) }),
      token,
      timeMs: cut.timeMs,
      plan: ranges === undefined ? 'scan' : 'index',
    };
  });
}

/** The cut that a query is about, unless it is whatever is applied. A cursor pins its own. */
async function pastCut(
  plane: Plane,
  tenant: string,
  { asOf }: CheckedRequest,
  from: QueryCursor | undefined,
  wait: Waiting,
): Promise<ResolvedCut | undefined> {
  if (from !== undefined) {
    const given = decodeToken(from.token, 'body.cursor');
    checkCut(plane, given, 'body.cursor');
    const cut = await cutOfToken(plane, given, wait);
    checkHistoryOf(plane, cut, 'body.cursor');
    return cut;
  }
  if (asOf === undefined) return undefined;
  return resolveAsOf(plane, { asOf, tenant, wait, field: 'body.asOf' });
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
  readonly results: QueryResult[] = [];
  #rowsLeft: number;
  #records: (ShardRecord | undefined)[] | undefined;

  constructor(plane: Plane, reader: ViewReader, options: RunOptions) {
    this.#plane = plane;
    this.#reader = reader;
    this.#options = options;
    this.#rowsLeft = plane.settings.query_scan_rows_max;
  }

  /** @returns where the next page begins; nothing after the last */
  async page(from: QueryCursor | undefined): Promise<Omit<QueryCursor, 'token'> | undefined> {
    const steps = this.#steps();
    for (
      let partition = from?.partition ?? 0;
      partition < this.#plane.shards.partitions;
      partition++
    ) {
      const isFirst = partition === from?.partition;
      for (let step = isFirst ? (from?.step ?? 0) : 0; step < steps.length; step++) {
        const key = isFirst && step === from?.step ? from.key : '';
        const end = await this.#step(partition, steps[step] as Step, key);
        if (end !== undefined) return { partition, step, key: end };
      }
    }
    return undefined;
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
  async #step(partition: number, step: Step, fromKey: string): Promise<string | undefined> {
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
    step: Step,
    cutOffset: number,
  ): Promise<string | undefined> {
    const { entityPrefix, limit } = this.#options;
    const wanted = candidates.filter(
      ({ entity, isWithinCut }) => isWithinCut && entity.startsWith(entityPrefix),
    );
    const rows = await this.#reader.getMany(wanted.map(({ entity }) => toKey(keys.head(entity))));
    const heads = new Map(wanted.map((candidate, i) => [candidate, rows[i] ?? null]));
    let done = candidates[0]?.key;
    for (const candidate of candidates) {
      if (this.results.length === limit || this.#rowsLeft === 0) return done;
      done = candidate.key;
      this.#rowsLeft--;
      const row = heads.get(candidate);
      if (row) await this.#judge(keys, candidate, row, step, cutOffset);
    }
    return this.results.length === limit || this.#rowsLeft === 0 ? done : undefined;
  }

  async #judge(
    keys: ShardKeys,
    { entity, entry }: Candidate,
    row: Buffer,
    step: Step,
    cutOffset: number,
  ): Promise<void> {
    const head = decodeHead(row);
    let attributes: Attributes;
    let { sequence, hlc } = head;
    if (head.offset <= cutOffset) attributes = JSON.parse(head.attributes.toString()) as Attributes;
    else {
      const past = await this.#reader.stateAt(keys, entity, cutOffset);
      if (past === undefined) return;
      ({ attributes, sequence, hlc } = past.state);
    }
    if (!this.#options.matches(attributes)) return;
    if (entry !== undefined && !this.#isFirst(attributes, entry, step)) return;
    const { epoch } = this.#plane.log.info;
    const asOf = { epoch, partition: keys.partition, offset: cutOffset, hlc: formatHlc(hlc) };
    this.results.push({ entity, attributes, sequence, asOf });
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
