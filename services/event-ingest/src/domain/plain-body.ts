import { isUtf8 } from 'node:buffer';
import { LIMITS, MemplaneError } from '@memplane/contracts';
import { parseJson } from '@memplane/runtime/json-body';
import { objectEnd } from './object-end.ts';
import type { PackedBody } from './packed-body.ts';
import { readPlainEvent } from './plain-event.ts';
import { DOUBT, PlainJson } from './plain-json.ts';
import type { BodyContext } from './prepare-body.ts';
import { checkEvent } from './read-body.ts';
import { WrittenEvents } from './written-events.ts';

const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/**
 * The quick way for bodies whose JSON is plain (see {@link PlainJson}): events are read off the text,
 * and only those that hold more than usual are parsed.
 * @returns undefined for a body that needs the other way, be it right or wrong
 */
export function preparePlain(bytes: Buffer, context: BodyContext): PackedBody | undefined {
  if (!isUtf8(bytes)) return undefined;
  const json = new PlainJson(bytes.toString('utf8'));
  const written = new WrittenEvents(context, bytes.length);
  try {
    const isBatch = json.take(OPEN_BRACKET);
    if (isBatch) readBatch(json, context, written);
    else readEvent(json, context, written, 'body', 1);
    return json.at === json.text.length ? written.pack(isBatch) : undefined;
  } catch (error) {
    // Which problem is told, where there are several, is the other way's to say.
    if (error === DOUBT || error instanceof MemplaneError) return undefined;
    throw error;
  }
}

function readBatch(json: PlainJson, context: BodyContext, written: WrittenEvents): void {
  do {
    if (written.count === LIMITS.batch_events_max) throw DOUBT;
    readEvent(json, context, written, `body[${written.count}]`, 2);
  } while (json.take(COMMA));
  json.expect(CLOSE_BRACKET);
}

function readEvent(
  json: PlainJson,
  context: BodyContext,
  written: WrittenEvents,
  field: string,
  depth: number,
): void {
  const from = json.at;
  const texts = readPlainEvent(json, depth);
  if (texts !== undefined) {
    written.add(texts, field);
    return;
  }
  const end = objectEnd(json.text, from, depth);
  if (end === -1) throw DOUBT;
  const event = parseJson(Buffer.from(json.text.slice(from, end)), field);
  json.at = end;
  written.addChecked(checkEvent(event, field, context));
}
