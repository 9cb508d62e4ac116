import { type Cut, decodeToken, LIMITS, MemplaneError } from '@memplane/contracts';

/** A point in time as a caller writes it. */
export type AsOf =
  | { readonly kind: 'offset'; readonly epoch: number | undefined; readonly offset: number }
  | { readonly kind: 'event'; readonly id: string }
  | { readonly kind: 'time'; readonly timeMs: number }
  | { readonly kind: 'token'; readonly cut: Cut };

const RFC3339 =
  /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;

/**
 * Reads `offset:N`, `offset:E.N`, `event:ID`, `time:T`, `token:T`, or, bare, a time where it is
 * RFC 3339, a token where it begins with `mpt_`, else an event id.
 * @throws MemplaneError `invalid_as_of`, `invalid_token`
 */
export function parseAsOf(text: string, field: string): AsOf {
  const colon = text.indexOf(':');
  const rest = text.slice(colon + 1);
  switch (colon < 0 ? '' : text.slice(0, colon)) {
    case 'offset':
      return parseOffset(rest, field);
    case 'event':
      return parseEvent(rest, field);
    case 'token':
      return { kind: 'token', cut: decodeToken(rest, field) };
    case 'time': {
      const timeMs = parseTime(rest);
      if (timeMs === undefined) throw invalid('A time is RFC 3339.', field);
      return { kind: 'time', timeMs };
    }
    default: {
      if (text.startsWith('mpt_')) return { kind: 'token', cut: decodeToken(text, field) };
      const timeMs = parseTime(text);
      return timeMs === undefined ? parseEvent(text, field) : { kind: 'time', timeMs };
    }
  }
}

function parseOffset(text: string, field: string): AsOf {
  const match = /^(?:(\d{1,9})\.)?(\d{1,15})$/.exec(text);
  if (match === null) throw invalid('An offset is `offset:N` or `offset:EPOCH.N`.', field);
  const epoch = match[1] === undefined ? undefined : Number(match[1]);
  const offset = Number(match[2]);
  if (offset >= 2 ** 48) throw invalid('There are no such offsets.', field);
  return { kind: 'offset', epoch, offset };
}

function parseEvent(id: string, field: string): AsOf {
  if (id === '' || Buffer.byteLength(id) > LIMITS.event_id_bytes_max) {
    throw invalid(`An event id has 1 to ${LIMITS.event_id_bytes_max} bytes.`, field);
  }
  return { kind: 'event', id };
}

/** Milliseconds since 1970, cut to whole ones; nothing for what is no RFC 3339 time since then. */
export function parseTime(text: string): number | undefined {
  const match = RFC3339.exec(text);
  if (match === null) return undefined;
  const ms = Date.parse(text.toUpperCase());
  if (Number.isNaN(ms)) return undefined;
  // Date.parse takes the 30th of February for a day of March.
  const [, year, month, day] = match;
  const check = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  if (check.getUTCDate() !== Number(day)) return undefined;
  return Math.max(0, Math.floor(ms));
}

function invalid(message: string, field: string): MemplaneError {
  return new MemplaneError('invalid_as_of', message, { field });
}
