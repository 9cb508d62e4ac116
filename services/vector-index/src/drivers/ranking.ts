import { compileFilter, type Filter } from '@memplane/filter';
import type { Bitmap } from '../domain/bitmap.ts';
import { scoreText, type TextScores } from '../domain/bm25.ts';
import { filterRows } from '../domain/filter-rows.ts';
import { best, fuse, type Ranked } from '../domain/fusion.ts';
import type {
  Candidate,
  NearestAhead,
  RankRequest,
  RecallSnapshot,
  RowDetails,
} from '../domain/ports.ts';
import type { LiveRows, TenantIndex } from './tenant-index.ts';

/** Fewest rows of each ranking that are fused. */
const FUSION_DEPTH_MIN = 200;

/**
 * The rows of a tenant at one cut. Which rows may be shown is settled when it is made, so what is
 * written later does not show; files and columns only grow.
 */
export class Ranking implements RecallSnapshot {
  readonly matches: number;
  readonly #index: TenantIndex;
  readonly #request: RankRequest;
  readonly #live: LiveRows;
  readonly #allowed: Bitmap;
  #text: TextScores | undefined;

  constructor(index: TenantIndex, live: LiveRows, request: RankRequest) {
    this.#index = index;
    this.#request = request;
    this.#live = request.entity === undefined ? live : withinEntity(index, live, request.entity);
    this.#allowed = this.#live.rows;
    if (request.filter) {
      this.#allowed = filteredRows(index, this.#live.rows, request.filter);
    }
    this.matches = this.#allowed.count();
  }

  rank(count: number): readonly Candidate[] | Promise<readonly Candidate[]> {
    const { vector, terms } = this.#request;
    if (vector && !terms) return this.#nearest(vector, count);
    if (!vector) return this.#byText(count);
    const depth = fusionDepth(count);
    const nearest = this.#nearest(vector, depth);
    const texts = this.#byText(depth);
    const fused = (vectors: readonly Ranked[]) =>
      fuse([vectors, texts], this.#index.columns.before).slice(0, count);
    return nearest instanceof Promise ? nearest.then(fused) : fused(nearest);
  }

  ahead(count: number): NearestAhead | undefined {
    const { vector, terms } = this.#request;
    if (!vector) return undefined;
    const { vectors } = this.#index;
    const depth = terms ? fusionDepth(count) : count;
    return vectors.ahead?.(vector, depth, this.matches, this.#live.rowCount, this.#request);
  }

  details(row: number): RowDetails {
    return this.#index.details(row);
  }

  #nearest(vector: Float32Array, count: number): readonly Ranked[] | Promise<readonly Ranked[]> {
    return this.#index.vectors.nearest(
      vector,
      count,
      this.#allowed,
      this.matches,
      this.#live.rowCount,
      this.#index.columns.before,
      this.#request,
    );
  }

  #byText(count: number): Ranked[] {
    const { rows, texts, terms, rowCount } = this.#live;
    this.#text ??= scoreText(this.#request.terms ?? new Map(), rows, rowCount, this.#index, {
      texts,
      averageLength: texts === 0 ? 1 : terms / texts,
    });
    const scored = this.#text;
    const shown =
      this.#request.filter === undefined
        ? scored.rows
        : scored.rows.filter((row) => this.#allowed.has(row));
    return best(shown, scored.scores, count, this.#index.columns.before);
  }
}

function fusionDepth(count: number): number {
  return Math.max(FUSION_DEPTH_MIN, 4 * count);
}

/** Few rows are looked at one by one; many go through the index. */
function filteredRows(index: TenantIndex, rows: Bitmap, filter: Filter): Bitmap {
  const LOOK_MAX = 64;
  if (rows.count() > LOOK_MAX) return rows.clone().and(filterRows(filter, index.fields));
  const matches = compileFilter(filter);
  const kept = rows.clone();
  for (const row of rows) if (!matches(index.fields.metadata(row))) kept.remove(row);
  return kept;
}

function withinEntity(index: TenantIndex, live: LiveRows, entity: string): LiveRows {
  const rows = index.entityRows(entity).and(live.rows);
  let texts = 0;
  let terms = 0;
  for (const row of rows) {
    const length = index.length(row);
    if (length === 0) continue;
    texts++;
    terms += length;
  }
  return { rows, rowCount: live.rowCount, texts, terms };
}
