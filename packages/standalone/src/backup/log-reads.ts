import { type Lineage, type LogRecord, lineOf } from '@memplane/event-log';
import type { PlaneHttp } from '../operate/plane-http.ts';
import {
  feedLines,
  gapAt,
  headOf,
  type Range,
  recordOfLine,
  type ShardStates,
} from './plane-reads.ts';

/**
 * The first offset of each partition's own records of which the whole history is there. What is of
 * before a split is told by several partitions, and none of them may have removed it.
 */
export function startsOf({ shards }: ShardStates, lineage: Lineage | undefined): number[] {
  return shards.map(({ partition, historyStart }) => {
    if (lineage === undefined) return historyStart;
    const others = tellersOf(lineage, partition).map(({ partition: teller, to }) =>
      Math.min(shards[teller]?.historyStart ?? 0, to + 1),
    );
    return Math.max(historyStart, lineage.bases[partition] ?? 0, ...others);
  });
}

/** The partitions that came out of one, with the last of its records that each of them tells of. */
function tellersOf(
  lineage: Lineage,
  home: number,
): readonly { readonly partition: number; readonly to: number }[] {
  return [...lineage.bases.keys()].flatMap((partition) => {
    const line = lineOf(lineage, partition);
    const child = line[line.indexOf(home) - 1];
    return child === undefined ? [] : [{ partition, to: (lineage.bases[child] ?? 0) - 1 }];
  });
}

/**
 * The records that a partition of the log has, without a gap. Of a log that grew some of them are told
 * by partitions that came out of it: all of these are read side by side.
 */
export async function* recordsOf(
  plane: PlaneHttp,
  { partition, from, to }: Range,
  lineage: Lineage | undefined,
): AsyncGenerator<LogRecord> {
  let next = from;
  for await (const line of mergedLines(plane, { partition, from, to }, lineage)) {
    const record = recordOfLine(line, partition);
    if (record.offset !== next) throw gapAt(partition, next, record.offset);
    next++;
    yield record;
  }
  if (next <= to) throw gapAt(partition, next, to + 1);
}

interface Told {
  readonly line: Buffer;
  readonly offset: number;
  readonly rest: AsyncGenerator<Buffer>;
}

async function* mergedLines(
  plane: PlaneHttp,
  { partition, from, to }: Range,
  lineage: Lineage | undefined,
): AsyncGenerator<Buffer> {
  const told: Told[] = [];
  const take = async (rest: AsyncGenerator<Buffer>) => {
    const { done, value } = await rest.next();
    if (done !== true) told.push({ line: value, offset: headOf(value).offset, rest });
  };
  await take(feedLines(plane, { partition, from, to }, lineage !== undefined));
  for (const teller of lineage === undefined ? [] : tellersOf(lineage, partition)) {
    const range = { ...teller, from, to: Math.min(to, teller.to) };
    await take(feedLines(plane, range, true));
  }
  for (;;) {
    const [first, ...others] = told.sort((a, b) => a.offset - b.offset);
    if (first === undefined) return;
    told.splice(0, told.length, ...others);
    yield first.line;
    await take(first.rest);
  }
}
