import {
  type Cut,
  decodeToken,
  encodeToken,
  joinCuts,
  LIVENESS_ITEMS_MAX,
  MemplaneError,
  type SearchHit,
  type SearchResponse,
  type searchRequestSchema,
} from '@memplane/contracts';
import { parseFilter } from '@memplane/filter';
import type { z } from 'zod';
import type { AppliedGate } from './applied-gate.ts';
import { readVector } from './domain/embedding.ts';
import type {
  Candidate,
  LogShape,
  NearestAhead,
  RankRequest,
  RecallSnapshot,
  RecallStore,
  RowDetails,
  Views,
} from './domain/ports.ts';
import { type SplitFilter, splitFilter } from './domain/split-filter.ts';
import { frequencies, termsOf } from './domain/text.ts';
import type { QueryVectors } from './query-vectors.ts';

type Request = z.output<typeof searchRequestSchema>;
type TimedCut = Cut & { readonly timeMs: number };

export interface SearchParts {
  readonly generation: RecallStore;
  readonly gate: AppliedGate;
  readonly views: Views;
  readonly now: () => number;
  /** Undefined until it is known. */
  readonly log: LogShape | undefined;
  /** Where the plane makes vectors of texts itself. */
  readonly queryVectors?: QueryVectors | undefined;
}

/** A ranked row that the view has confirmed. */
interface Hit extends Candidate {
  readonly details: RowDetails;
}

/**
 * One search at one cut: rank what was live by the index's own account, then let the views confirm
 * each candidate at that very cut, asking for more until `topK` are confirmed or nothing is left.
 * @throws MemplaneError as the operation documents
 */
export async function search(
  parts: SearchParts,
  tenant: string,
  request: Request,
  signal: AbortSignal,
): Promise<SearchResponse> {
  const filter = splitFilter((request.filter ?? {}) as never, 'body.filter');
  const generation = parts.generation;
  let rank = rankRequest(parts, request, filter);
  const after = tokensCut(parts, request);
  const computes = parts.queryVectors !== undefined && !rank.vector && request.text !== undefined;
  if (computes && parts.queryVectors?.model === generation.model) {
    const { dimensions } = generation;
    const vector = await parts.queryVectors.of(request.text ?? '', dimensions, signal);
    rank = { ...rank, vector };
  }
  if (after && !parts.gate.has(after)) {
    rank = { ...rank, ahead: searchAhead(parts, tenant, { request, rank, filter }) };
    await parts.gate.wait(after, request.waitMs, signal);
  }
  const past =
    request.asOf === undefined ? undefined : await pastCut(parts, tenant, request, signal);
  const cut = past ?? latestCut(parts, generation);
  const snapshot = past
    ? generation.snapshot(tenant, cut, cut.timeMs, rank)
    : generation.latest(tenant, cut, cut.timeMs, rank);
  const check = { tenant, request, cut, filter, snapshot };
  const hits = await confirmed(parts, check, signal).catch((error: unknown) => {
    throw past ? error : notCaughtUp(error);
  });
  const { vectorsPending } = generation.status(tenant);
  return {
    results: hits.map(toHit),
    asOf: {
      epoch: cut.epoch,
      time: new Date(cut.timeMs).toISOString(),
      offsets: Object.fromEntries([...cut.offsets].sort((a, b) => a[0] - b[0])),
    },
    token: encodeToken(cut),
    ...(rank.terms ? { statistics: request.entity ? 'entity' : 'today' } : {}),
    ...(vectorsPending > 0 ? { vectorsPending } : {}),
    ...(computes && !rank.vector ? { lexicalOnly: true as const } : {}),
  };
}

/** An index that is being filled has what is applied of before the history: that is no past asked for. */
function notCaughtUp(error: unknown): unknown {
  if (!(error instanceof MemplaneError) || error.code !== 'history_expired') return error;
  return new MemplaneError('not_yet_visible', 'The index is being built.', {
    retryAfterMs: 500,
    cause: error,
  });
}

function rankRequest(parts: SearchParts, request: Request, filter: SplitFilter): RankRequest {
  const { generation } = parts;
  if (request.model !== undefined && generation.model !== undefined) {
    if (request.model !== generation.model) {
      throw new MemplaneError('wrong_model', `The collection is of ${generation.model}.`, {
        field: 'body.model',
      });
    }
  }
  // Judged by the views, but refused here already when it is no filter.
  if (filter.entity) parseFilter(filter.entity, { field: 'body.filter' });
  let vector: Float32Array | undefined;
  if (request.vector !== undefined) {
    const read = readVector(request.vector, generation.dimensions);
    if (read === 'wrong_dimensions') {
      throw new MemplaneError(read, `Vectors here have ${generation.dimensions} dimensions.`, {
        field: 'body.vector',
      });
    }
    if (typeof read === 'string') {
      const detail = `The vector can not be compared: ${read.replace('_', ' ')}.`;
      throw new MemplaneError('invalid_request', detail, { field: 'body.vector' });
    }
    vector = read;
  }
  return {
    vector,
    terms: request.text === undefined ? undefined : frequencies(termsOf(request.text)),
    filter: filter.memory && parseFilter(filter.memory, { field: 'body.filter' }),
    entity: request.entity,
  };
}

/** What `after` says that the answer must include. */
function tokensCut(parts: SearchParts, request: Request): Cut | undefined {
  if (request.after === undefined) return undefined;
  const tokens = Array.isArray(request.after) ? request.after : [request.after];
  const [first, ...rest] = tokens.map((token) => decodeToken(token, 'body.after'));
  if (first === undefined) return undefined;
  const cut = joinCuts([first, ...rest]);
  checkLog(parts, cut, 'body.after');
  return cut;
}

interface Ahead {
  readonly request: Request;
  readonly rank: RankRequest;
  readonly filter: SplitFilter;
}

/**
 * Lets a database of vectors elsewhere search while the index still applies what the answer must
 * include: that is looked at beside what the database finds. The past is not known before its cut.
 */
function searchAhead(
  parts: SearchParts,
  tenant: string,
  { request, rank, filter }: Ahead,
): NearestAhead | undefined {
  const { generation } = parts;
  if (request.asOf !== undefined || generation.logId === undefined) return undefined;
  const cut = latestCut(parts, generation);
  const snapshot = generation.latest(tenant, cut, cut.timeMs, rank);
  return snapshot.ahead(Math.min(firstCount(request, filter), snapshot.matches));
}

/** The cut that `asOf` means, once the index has applied it. */
async function pastCut(
  parts: SearchParts,
  tenant: string,
  request: Request,
  signal: AbortSignal,
): Promise<TimedCut> {
  const { asOf, entity, waitMs } = request;
  const cut = await parts.views.resolveCut(
    { tenant, waitMs, ...(asOf === undefined ? {} : { asOf }), ...(entity ? { entity } : {}) },
    signal,
  );
  checkLog(parts, cut, 'body.asOf');
  await parts.gate.wait(cut, waitMs, signal);
  return cut;
}

function latestCut(parts: SearchParts, generation: RecallStore): TimedCut {
  const { now, log } = parts;
  const logId = generation.logId;
  if (logId === undefined || log === undefined) {
    throw new MemplaneError('not_yet_visible', 'The index does not know its log yet.', {
      retryAfterMs: 200,
    });
  }
  const offsets = new Map<number, number>();
  const { epoch, partitions } = log;
  for (let partition = 0; partition < partitions; partition++) {
    offsets.set(partition, generation.partition(partition).applied);
  }
  return { logId, epoch, partitions, offsets, timeMs: now() };
}

function checkLog(parts: SearchParts, cut: Cut, field: string): void {
  const { logId } = parts.generation;
  if (logId === undefined || cut.logId === logId) return;
  throw new MemplaneError('token_of_another_log', 'The token is of another log.', { field });
}

interface Check {
  readonly tenant: string;
  readonly request: Request;
  readonly cut: TimedCut;
  readonly filter: SplitFilter;
  readonly snapshot: RecallSnapshot;
}

async function confirmed(parts: SearchParts, check: Check, signal: AbortSignal): Promise<Hit[]> {
  const { topK } = check.request;
  const max = check.snapshot.matches;
  const hits: Hit[] = [];
  let seen = 0;
  let count = firstCount(check.request, check.filter);
  while (hits.length < topK && seen < max) {
    // What is here answers at once: an await for nothing costs a search its turn.
    const answer = check.snapshot.rank(Math.min(count, max));
    const ranked = answer instanceof Promise ? await answer : answer;
    const fresh = ranked.slice(seen);
    if (fresh.length === 0) break;
    for (let at = 0; at < fresh.length && hits.length < topK; at += LIVENESS_ITEMS_MAX) {
      const part = fresh.slice(at, at + LIVENESS_ITEMS_MAX);
      hits.push(...(await confirm(parts, check, part, signal)));
    }
    seen = ranked.length;
    count *= 4;
  }
  return hits.slice(0, topK);
}

/** How many candidates are ranked at first. Where the entity is filtered too, more fall away. */
function firstCount({ topK }: Request, filter: SplitFilter): number {
  return filter.entity ? topK * 4 + 32 : topK + 8;
}

async function confirm(
  parts: SearchParts,
  check: Check,
  ranked: readonly Candidate[],
  signal: AbortSignal,
): Promise<Hit[]> {
  const { tenant, request, cut, filter, snapshot } = check;
  const hits = ranked.map((candidate) => ({
    ...candidate,
    details: snapshot.details(candidate.row),
  }));
  const live = await parts.views.liveness(
    {
      tenant,
      cut: encodeToken(cut),
      atMs: cut.timeMs,
      waitMs: request.waitMs,
      ...(filter.entity ? { entityFilter: filter.entity } : {}),
      items: hits.map(({ details }) => {
        const { entity, memoryId, eventId, offset, turn } = details;
        return { entity, memoryId, eventId, offset, turn };
      }),
    },
    signal,
  );
  return hits.filter((_, index) => live[index] === true);
}

function toHit({ score, details }: Hit): SearchHit {
  const { memoryId, entity, eventId, offset, text, metadata, turn } = details;
  return {
    memoryId,
    entity,
    score,
    eventId,
    offset,
    memory: {
      id: memoryId,
      ...(text === undefined ? {} : { text }),
      ...(metadata === undefined ? {} : { metadata: JSON.parse(metadata) }),
      ...(turn ? { turn: true as const } : {}),
    },
  };
}
