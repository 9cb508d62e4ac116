import { partitionKey } from '@memplane/contracts';
import { eventLine, type FeedLine, type ViewLine } from '../domain/feed.ts';
import { entityOfHeadKey, offsetAtEnd, toKey } from '../domain/keys.ts';
import { decodeHead, decodeHistory, decodeMemory, decodeUntil } from '../domain/rows.ts';
import { inSnapshot, type Plane } from '../reads/plane.ts';
import type { FeedStep } from './feed-sources.ts';
import { type PlacedRow, type Placing, type Selection, selectOldest } from './select-oldest.ts';
import type { ViewReader } from './view-reader.ts';

/** Events that are read at once. */
const EVENTS_PER_READ = 16;

/** Makes the lines of some rows. */
type LinesOf<Line extends FeedLine> = (
  reader: ViewReader,
  rows: readonly PlacedRow[],
) => Promise<Line[]>;

/**
 * What a feed gives of the offsets before the start of the history: of the events those that brought
 * memories that can still be shown, of the views those that have not changed since. One reader
 * goes on in the selection that it began.
 */
export class FeedBeforeStart {
  readonly #plane: Plane;
  #selection: Selection = { rows: [], isFull: false };
  /** Where the rest of the selection begins, and up to which start of the history it goes. */
  #at = 0;
  #next = -1;
  #start = -1;

  constructor(plane: Plane) {
    this.#plane = plane;
  }

  events(partition: number, from: number, bytesMax: number): Promise<FeedStep> {
    return this.#step(partition, from, bytesMax, eventTables, (reader, rows) =>
      eventLines(this.#plane, reader, rows),
    );
  }

  views(
    partition: number,
    from: number,
    bytesMax: number,
    linesOf: LinesOf<ViewLine>,
  ): Promise<FeedStep<ViewLine>> {
    return this.#step(partition, from, bytesMax, viewTables, linesOf);
  }

  #step<Line extends FeedLine>(
    partition: number,
    from: number,
    bytesMax: number,
    tables: typeof eventTables,
    linesOf: LinesOf<Line>,
  ): Promise<FeedStep<Line>> {
    return inSnapshot(this.#plane, async (reader) => {
      const { historyStart, tenants } = this.#plane.shards.at(partition).record;
      if (this.#next !== from || this.#start !== historyStart) {
        const { rocks, snapshot } = reader;
        const scope = { partition, tenants };
        this.#selection = await selectOldest(rocks, snapshot, scope, tables(from, historyStart));
        this.#at = 0;
        this.#start = historyStart;
      }
      const { rows, isFull } = this.#selection;
      const lines: Line[] = [];
      let bytes = 0;
      while (this.#at < rows.length && bytes < bytesMax) {
        const part = rows.slice(this.#at, this.#at + EVENTS_PER_READ);
        const more = await linesOf(reader, part);
        for (const line of more) bytes += line.json.length;
        lines.push(...more);
        this.#at += part.length;
      }
      const isDone = this.#at >= rows.length && !isFull;
      this.#next = isDone ? historyStart : (rows[this.#at - 1]?.offset ?? from - 1) + 1;
      return { lines, next: this.#next };
    });
  }
}

/** Memory versions that began in a range and are live, or ended at or after its end. */
function eventTables(from: number, to: number): readonly (readonly ['m' | 'u' | 'h', Placing])[] {
  const within = (offset: number) => offset >= from && offset < to;
  return [
    [
      'm',
      ({ key, value }, keys) => {
        const { offset } = decodeMemory(value);
        const start = keys.table('m').length;
        const entity = key.toString('latin1', start, key.indexOf(0, start));
        return within(offset) ? { keys, entity, offset } : undefined;
      },
    ],
    [
      'u',
      ({ key, value }, keys) => {
        const offset = offsetAtEnd(key);
        if (!within(offset) || decodeUntil(value).until < to) return undefined;
        const entity = key.toString('latin1', keys.table('u').length, key.length - 7);
        return { keys, entity, offset };
      },
    ],
  ];
}

function viewTables(from: number, to: number): ReturnType<typeof eventTables> {
  return [
    [
      'h',
      ({ key, value }, keys) => {
        const { offset } = decodeHead(value);
        if (offset < from || offset >= to) return undefined;
        return { keys, entity: entityOfHeadKey(key), offset };
      },
    ],
  ];
}

async function eventLines(
  plane: Plane,
  reader: ViewReader,
  rows: readonly PlacedRow[],
): Promise<FeedLine[]> {
  const values = await reader.getMany(
    rows.map(({ keys, entity, offset }) => toKey(keys.event(entity, offset))),
  );
  return rows.flatMap(({ keys: { partition, tenant }, entity, offset }, i) => {
    const row = values[i];
    if (!row) return [];
    const key = partitionKey(tenant, entity);
    const { epoch } = plane.shards.at(partition).record;
    return [eventLine(epoch, { partition, offset, key, value: decodeHistory(row).event }, true)];
  });
}
