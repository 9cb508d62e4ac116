import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import { LIMITS, MemplaneError } from '@memplane/contracts';

/**
 * Collects the bodies of requests: each bounded by itself, all of them together while they come in,
 * so that many slow uploads can not fill the memory.
 */
export class BodyReader {
  readonly #bytesMax: number;
  readonly #heldMax: number;
  #held = 0;

  /** @param bytesMax for one body @param heldMax for all that are coming in, in bytes */
  constructor(bytesMax: number, heldMax: number) {
    this.#bytesMax = bytesMax;
    this.#heldMax = heldMax;
  }

  /**
   * @param bytesMax for this body, where it is another one
   * @throws MemplaneError `body_too_large` or `overloaded`, as soon as it is known; what is left of
   * the body is then unread. `invalid_request` when the body ends before its declared length.
   */
  async read(request: IncomingMessage, bytesMax = this.#bytesMax): Promise<Buffer> {
    const hold: Hold = { bytes: 0, bytesMax };
    try {
      this.#grow(hold, Number(request.headers['content-length'] ?? 0));
      return await this.#collect(request, hold);
    } finally {
      this.#held -= hold.bytes;
    }
  }

  #grow(hold: Hold, bytes: number): void {
    if (bytes <= hold.bytes) return;
    if (bytes > hold.bytesMax) throw tooLarge(hold.bytesMax);
    const more = bytes - hold.bytes;
    if (this.#held > 0 && this.#held + more > this.#heldMax) {
      throw new MemplaneError('overloaded', 'Too many bytes of bodies are coming in.', {
        retryAfterMs: 1000,
        extra: { limit: 'inflight_body_bytes_max', max: this.#heldMax },
      });
    }
    hold.bytes = bytes;
    this.#held += more;
  }

  #collect(request: IncomingMessage, hold: Hold): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const end = (error?: unknown) => {
        request.off('data', onData).off('end', onEnd).off('close', onCut).off('error', onCut);
        if (error !== undefined) {
          // What is left must neither be kept nor throw: its 'error' is this one.
          request.on('error', () => {}).pause();
          reject(error);
        } else resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size));
      };
      const onData = (chunk: Buffer) => {
        size += chunk.length;
        chunks.push(chunk);
        try {
          this.#grow(hold, size);
        } catch (error) {
          end(error);
        }
      };
      const onEnd = () => end();
      const onCut = (cause?: unknown) =>
        end(
          new MemplaneError('invalid_request', 'The body ended early.', { field: 'body', cause }),
        );
      request.on('data', onData).on('end', onEnd).on('close', onCut).on('error', onCut);
    });
  }
}

/** What one body takes, of what it may. */
interface Hold {
  bytes: number;
  readonly bytesMax: number;
}

function tooLarge(bytesMax: number): MemplaneError {
  return new MemplaneError('body_too_large', `A request may have at most ${bytesMax} bytes.`, {
    field: 'body',
    extra: { limit: 'request_bytes_max', max: bytesMax },
  });
}

/**
 * Parses JSON that may be stored: valid UTF-8, bounded depth, no `__proto__` keys, no lone
 * surrogates and no numbers beyond float64, since none of them survives a round trip.
 */
export function parseJson(bytes: Buffer, field = 'body'): unknown {
  if (!isUtf8(bytes)) {
    throw new MemplaneError('invalid_encoding', 'The body is not valid UTF-8.', { field });
  }
  const text = bytes.toString('utf8');
  const hasLongNumber = scan(text, field);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const detail = cause instanceof Error ? cause.message : 'not JSON';
    throw new MemplaneError('invalid_json', `The body is not valid JSON: ${detail}`.slice(0, 300), {
      field,
      cause,
    });
  }
  // Only texts that could hold one of the rare bad things are walked.
  if (hasLongNumber || text.includes('__proto__') || text.includes('\\u')) {
    checkTree(value, field);
  }
  return value;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** No number of fewer digits, without an exponent, is beyond float64. */
const SAFE_DIGITS = 300;

/**
 * One pass over the text before the parser sees it: how deep it is nested, and whether it holds a
 * number that could be beyond float64 (one with a positive exponent, or with very many digits).
 */
function scan(text: string, field: string): boolean {
  let depth = 0;
  let digits = 0;
  let hasLongNumber = false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x30 && unit <= 0x39) {
      if (++digits > SAFE_DIGITS) hasLongNumber = true;
      continue;
    }
    if (unit === QUOTE) {
      i = endOfString(text, i + 1);
    } else if (unit === 0x7b || unit === 0x5b) {
      if (++depth > LIMITS.json_depth_max) throw tooDeep(field);
    } else if (unit === 0x7d || unit === 0x5d) {
      depth--;
    } else if (digits > 0 && (unit | 0x20) === 0x65 && text.charCodeAt(i + 1) !== 0x2d) {
      hasLongNumber = true;
    }
    digits = 0;
  }
  return hasLongNumber;
}

function tooDeep(field: string): MemplaneError {
  const max = LIMITS.json_depth_max;
  return new MemplaneError('too_deep', `Values may be nested at most ${max} deep.`, {
    field,
    extra: { limit: 'json_depth_max', max },
  });
}

/** Where the quote stands that closes the text begun before `from`; the end, where there is none. */
export function endOfString(text: string, from: number): number {
  let at = text.indexOf('"', from);
  while (at !== -1) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at;
    at = text.indexOf('"', at + 1);
  }
  return text.length;
}

function checkTree(value: unknown, field: string): void {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) {
      throw new MemplaneError('invalid_encoding', 'A text holds a lone surrogate.', { field });
    }
  } else if (typeof value === 'number') {
    if (!Number.isFinite(value)) {
      throw new MemplaneError('invalid_json', 'A number is beyond float64.', { field });
    }
  } else if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) checkTree(item, `${field}[${i}]`);
  } else if (value !== null && typeof value === 'object') {
    for (const key of Object.keys(value)) {
      const place = `${field}.${key}`.slice(0, 300);
      if (key === '__proto__') {
        throw new MemplaneError('forbidden_key', 'The key "__proto__" is not allowed.', {
          field: place,
        });
      }
      if (!key.isWellFormed()) {
        throw new MemplaneError('invalid_encoding', 'A key holds a lone surrogate.', { field });
      }
      checkTree((value as Record<string, unknown>)[key], place);
    }
  }
}
