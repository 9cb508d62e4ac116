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
   * @throws MemplaneError `body_too_large` or `overloaded`, as soon as it is known; what is left of
   * the body is then unread. `invalid_request` when the body ends before its declared length.
   */
  async read(request: IncomingMessage): Promise<Buffer> {
    const hold = { bytes: 0 };
    try {
      this.#grow(hold, Number(request.headers['content-length'] ?? 0));
      return await this.#collect(request, hold);
    } finally {
      this.#held -= hold.bytes;
    }
  }

  #grow(hold: { bytes: number }, bytes: number): void {
    if (bytes <= hold.bytes) return;
    if (bytes > this.#bytesMax) throw tooLarge(this.#bytesMax);
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

  #collect(request: IncomingMessage, hold: { bytes: number }): Promise<Buffer> {
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
  checkDepth(bytes, field);
  const text = bytes.toString('utf8');
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
  if (mayHoldBadThings(text)) checkTree(value, field);
  return value;
}

/**
 * Only texts that could hold one of the rare bad things are walked. A number is beyond float64 only
 * with an exponent of three digits, or with more than 200 digits before a shorter one.
 */
function mayHoldBadThings(text: string): boolean {
  return text.includes('__proto__') || text.includes('\\u') || /[eE]\+?\d{3}|\d{200}/.test(text);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** One pass over the bytes, before the parser recurses into them. */
function checkDepth(bytes: Buffer, field: string): void {
  let depth = 0;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === QUOTE) {
      i = endOfString(bytes, i + 1);
    } else if (byte === 0x7b || byte === 0x5b) {
      if (++depth > LIMITS.json_depth_max) {
        throw new MemplaneError(
          'too_deep',
          `Values may be nested at most ${LIMITS.json_depth_max} deep.`,
          { field, extra: { limit: 'json_depth_max', max: LIMITS.json_depth_max } },
        );
      }
    } else if (byte === 0x7d || byte === 0x5d) depth--;
  }
}

function endOfString(bytes: Buffer, from: number): number {
  let at = bytes.indexOf(QUOTE, from);
  while (at !== -1) {
    let slashes = 0;
    while (bytes[at - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at;
    at = bytes.indexOf(QUOTE, at + 1);
  }
  return bytes.length;
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
