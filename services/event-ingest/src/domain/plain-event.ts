import { isEntity, LIMITS, timeSchema } from '@memplane/contracts';
import { DOUBT, type PlainJson } from './plain-json.ts';
import type { MemberTexts } from './prepare.ts';

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const COMMA = 0x2c;

/** How long the texts of an event may be, in bytes. */
const TEXT_BYTES_MAX = {
  id: LIMITS.event_id_bytes_max,
  type: LIMITS.event_type_bytes_max,
  source: LIMITS.source_bytes_max,
  correlationId: LIMITS.correlation_id_bytes_max,
  causationId: LIMITS.correlation_id_bytes_max,
} as const;

/** Most times, and no wrong one; the others, such as leap days, are left to the schema. */
const USUAL_TIME = new RegExp(
  '^\\d{4}-(?:02-(?:0[1-9]|1\\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:0[1-9]|[12]\\d|30)|' +
    '(?:0[13578]|1[02])-31)T(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?Z$',
);

/**
 * Reads an event of the short form, as the schema would take it, off its text.
 * Of two members of one name the last counts, as with `JSON.parse`.
 * @param depth how deep the event is nested; 1 is outermost
 * @returns undefined for an event that has more than this looks at: a memory, or another form
 * @throws `DOUBT`
 */
export function readPlainEvent(json: PlainJson, depth: number): MemberTexts | undefined {
  const texts: MemberTexts = {
    id: '',
    type: '',
    source: '',
    data: '',
    attributes: '',
    memory: '',
    correlationId: '',
    causationId: '',
    canonicalData: '',
    canonicalAttributes: '',
    canonicalMemory: '',
    entity: '',
    time: '',
    sentId: undefined,
  };
  json.expect(OPEN_BRACE);
  do {
    if (!readMember(json, texts, depth + 1)) return undefined;
  } while (json.take(COMMA));
  json.expect(CLOSE_BRACE);
  if (texts.type === '' || texts.entity === '') throw DOUBT;
  return texts;
}

/** @returns whether it is one of those that this reads */
function readMember(json: PlainJson, texts: MemberTexts, depth: number): boolean {
  const name = json.key();
  switch (name) {
    case 'id':
    case 'type':
    case 'source':
    case 'correlationId':
    case 'causationId':
      readText(json, texts, name);
      return true;
    case 'entity':
    case 'time':
      readRuled(json, texts, name);
      return true;
    case 'data':
      readValue(json, texts, depth, 'data');
      return true;
    case 'attributes':
      if (json.text.charCodeAt(json.at) !== OPEN_BRACE) throw DOUBT;
      readValue(json, texts, depth, 'attributes');
      return true;
    default:
      return false;
  }
}

function readText(json: PlainJson, texts: MemberTexts, name: keyof typeof TEXT_BYTES_MAX): void {
  const written = json.string();
  const max = TEXT_BYTES_MAX[name];
  const isLong = written.length * 3 > max;
  if (name === 'id' || isLong || json.isEscaped) {
    const text = json.isEscaped ? (JSON.parse(written) as string) : written.slice(1, -1);
    if (isLong && Buffer.byteLength(text) > max) throw DOUBT;
    if (name === 'id') texts.sentId = text;
  }
  if (written === '""') throw DOUBT;
  texts[name] = written;
}

/** What its rule says needs no escapes, and is taken as it stands. */
function readRuled(json: PlainJson, texts: MemberTexts, name: 'entity' | 'time'): void {
  const text = json.string().slice(1, -1);
  const isRight = name === 'entity' ? isEntity(text) : isTime(text);
  if (!isRight || json.isEscaped) throw DOUBT;
  texts[name] = text;
}

function isTime(text: string): boolean {
  return USUAL_TIME.test(text) || timeSchema.safeParse(text).success;
}

function readValue(
  json: PlainJson,
  texts: MemberTexts,
  depth: number,
  name: 'data' | 'attributes',
): void {
  const from = json.at;
  const canonical = json.value(depth);
  const text = json.text.slice(from, json.at);
  texts[name] = text;
  texts[name === 'data' ? 'canonicalData' : 'canonicalAttributes'] = canonical || text;
}
