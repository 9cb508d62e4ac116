import { formatHlc } from '@memplane/clock';
import type { LogRecord } from '@memplane/event-log';

export type FeedFormat = 'ndjson' | 'sse';

/** A line of a feed before it is framed: JSON without a line break. */
export interface FeedLine {
  readonly offset: number;
  /** The partition key: of which tenant the line is, and of which entity. */
  readonly key: string;
  readonly json: Buffer;
}

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const CLOSE = Buffer.from('}');

/**
 * The line of a record: `{"partition","offset","epoch","event":{…}}`, with `"applied":false` for one
 * that the views left out (a second copy, a reused id). The event is copied as the log has it,
 * unparsed; only one with line breaks in it (none of ours has) is written anew.
 */
export function eventLine(
  epoch: number,
  record: Pick<LogRecord, 'partition' | 'offset' | 'key' | 'value'>,
  isApplied: boolean,
): FeedLine {
  const { partition, offset, key, value } = record;
  const mark = isApplied ? '' : '"applied":false,';
  const head = `{"partition":${partition},"offset":${offset},"epoch":${epoch},${mark}"event":`;
  return { offset, key, json: Buffer.concat([Buffer.from(head), onOneLine(value), CLOSE]) };
}

/** In place of the newest events that were left out: up to there nothing is missing. */
export function positionLine(
  epoch: number,
  { partition, offset, key }: Pick<LogRecord, 'partition' | 'offset' | 'key'>,
): FeedLine {
  return { offset, key, json: Buffer.from(JSON.stringify({ partition, offset, epoch })) };
}

/** As the ingest writes the names of a memory, of an erasure, and of the text of a dialogue's turn. */
const NAMES_OF_RECALL = ['"memory"', '"erased"', '"text"'].map((name) => Buffer.from(name));

/** Whether an event may bring anything to recall: told by its bytes, without taking it apart. */
export function mayMeanRecall(event: Buffer): boolean {
  return NAMES_OF_RECALL.some((name) => event.includes(name));
}

function onOneLine(json: Buffer): Buffer {
  if (!json.includes(LINE_FEED) && !json.includes(CARRIAGE_RETURN)) return json;
  return Buffer.from(JSON.stringify(JSON.parse(json.toString())));
}

/** The line of a view. */
export interface ViewLine extends FeedLine {
  /** Whether its content came sealed. */
  readonly isSealed: boolean;
}

/** What the line of a view is made of; `attributes` and `memories` are JSON already. */
export interface ViewChange {
  readonly logId: string;
  readonly epoch: number;
  readonly ownerEpoch: number;
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly tenant: string;
  readonly entity: string;
  readonly attributes: string;
  readonly memories: string;
  readonly sequence: number;
  readonly hlc: bigint;
  readonly isSealed: boolean;
}

export function viewLine(change: ViewChange): ViewLine {
  const { partition, offset, epoch, logId, ownerEpoch, key, tenant, entity } = change;
  const position = JSON.stringify({ partition, offset, epoch, logId, ownerEpoch, key });
  const view =
    `{"entity":${JSON.stringify(entity)},"tenant":${JSON.stringify(tenant)},` +
    `"attributes":${change.attributes},"memories":${change.memories},` +
    `"sequence":${change.sequence},"hlc":"${formatHlc(change.hlc)}"}`;
  const json = Buffer.from(`${position.slice(0, -1)},"view":${view}}`);
  return { offset, key, json, isSealed: change.isSealed };
}

/**
 * In place of a view that no message has room for, or whose content no topic may keep: that it has
 * changed, and why it has to be read from the views.
 */
export function viewWithoutContent(line: ViewLine, why: 'tooLarge' | 'sealed'): ViewLine {
  const parsed = JSON.parse(line.json.toString()) as { view: Record<string, unknown> };
  const view = { ...parsed.view, attributes: {}, memories: [], [why]: true };
  return { ...line, json: Buffer.from(JSON.stringify({ ...parsed, view })) };
}

/** Writes lines in the format asked for, one chunk for all of them. */
export function frame(lines: readonly FeedLine[], format: FeedFormat, topic: string): Buffer {
  const parts: Buffer[] = [];
  for (const { offset, json } of lines) {
    if (format === 'ndjson') parts.push(json, NEWLINE);
    else parts.push(Buffer.from(`id: ${offset}\nevent: ${topic}\ndata: `), json, BLANK_LINE);
  }
  return Buffer.concat(parts);
}

const NEWLINE = Buffer.from('\n');
const BLANK_LINE = Buffer.from('\n\n');

/** Keeps an idle stream of events from being taken for dead. */
export const SSE_KEEP_ALIVE = Buffer.from(': still here\n\n');

/** The offset to begin at: the one after `Last-Event-ID`, where a reader comes back with it. */
export function resumeFrom(
  lastEventId: string | undefined,
  from: number | undefined,
): number | undefined {
  if (lastEventId === undefined || !/^\d{1,15}$/.test(lastEventId)) return from;
  return Number(lastEventId) + 1;
}

export function formatOf(accept: string | undefined): FeedFormat {
  return accept?.includes('text/event-stream') === true ? 'sse' : 'ndjson';
}
