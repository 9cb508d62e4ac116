import { MemplaneError } from '@memplane/contracts';
import { createLocalJWKSet, errors, type JWTVerifyGetKey } from 'jose';
import { httpCall } from '../http-client.ts';

export interface RemoteKeysOptions {
  readonly url: string;
  /** Milliseconds on a clock that never goes back. */
  readonly monotonicMs: () => number;
  readonly onFailure: (cause: unknown) => void;
  /** Answers the text of the key set; over HTTP by default. */
  readonly fetchText?: (url: string) => Promise<string>;
}

/** After this the keys are asked for again, while the old ones still count. */
export const KEYS_FRESH_MS = 10 * 60_000;
/** For so long the old ones count while nobody answers. */
export const KEYS_STALE_MS = 24 * 3_600_000;
/** Between two questions, whatever comes in. */
export const KEYS_COOLDOWN_MS = 30_000;
const FETCH_TIMEOUT_MS = 5_000;
const KEY_SET_BYTES_MAX = 256 * 1024;

/**
 * The keys of an issuer (RFC 7517), kept here: a rotation is seen by a key id that nobody knows, an
 * issuer that is down is not missed for a day, and no stream of false ids asks it more than twice a
 * minute.
 */
export class RemoteKeys {
  readonly #options: RemoteKeysOptions;
  #keys: JWTVerifyGetKey | undefined;
  #fetchedMs = Number.NEGATIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;
  #asking: Promise<boolean> | undefined;

  constructor(options: RemoteKeysOptions) {
    this.#options = options;
  }

  /** The key of a token. @throws jose's errors, and MemplaneError `dependency_unavailable` */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    const ageMs = this.#options.monotonicMs() - this.#fetchedMs;
    if (ageMs > KEYS_STALE_MS) {
      this.#keys = undefined;
      await this.#refresh();
    } else if (ageMs > KEYS_FRESH_MS) void this.#refresh();
    try {
      return await this.#known()(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !(await this.#refresh())) throw error;
      return this.#known()(header, token);
    }
  };

  #known(): JWTVerifyGetKey {
    if (this.#keys !== undefined) return this.#keys;
    throw new MemplaneError('dependency_unavailable', "The issuer's keys can not be had.", {
      retryAfterMs: KEYS_COOLDOWN_MS,
    });
  }

  /** Whether there are keys that were not there before the call. */
  #refresh(): Promise<boolean> {
    if (this.#asking !== undefined) return this.#asking;
    const nowMs = this.#options.monotonicMs();
    if (nowMs - this.#askedMs < KEYS_COOLDOWN_MS) return Promise.resolve(false);
    this.#askedMs = nowMs;
    this.#asking = this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<boolean> {
    const { url, fetchText = fetchKeySet, monotonicMs, onFailure } = this.#options;
    try {
      this.#keys = createLocalJWKSet(JSON.parse(await fetchText(url)));
      this.#fetchedMs = monotonicMs();
      return true;
    } catch (cause) {
      onFailure(cause);
      return false;
    }
  }
}

async function fetchKeySet(url: string): Promise<string> {
  const signal = AbortSignal.timeout(FETCH_TIMEOUT_MS);
  const headers = { accept: 'application/jwk-set+json, application/json' };
  const answer = await httpCall(url, { method: 'GET', headers, signal });
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > KEY_SET_BYTES_MAX)
      throw new Error(`the key set has over ${KEY_SET_BYTES_MAX} bytes`);
    parts.push(part);
  }
  if (answer.statusCode !== 200) throw new Error(`the issuer answered ${answer.statusCode}`);
  return Buffer.concat(parts).toString('utf8');
}
