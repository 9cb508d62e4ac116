import { MemplaneError } from '@memplane/contracts';
import { callSidecar, type SidecarConfig } from './sidecar.ts';

/** A stored value, and the version that a compare-and-set names. */
export interface StateValue {
  readonly value: unknown;
  readonly etag: string;
}

export interface StateItem {
  readonly key: string;
  readonly value: unknown;
  /** Forgotten after this; kept for good without it. */
  readonly ttlSeconds?: number;
}

export interface StateOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Keys stand in paths and between `||`: what needs no encoding. */
const KEY = /^[A-Za-z0-9._~:@=-]{1,512}$/;
/** Keys or items of one request. */
export const STATE_ITEMS_MAX = 1_000;

/** A state component of the application's sidecar. Its keys are the application's own. */
export class DaprState {
  readonly #sidecar: SidecarConfig;
  readonly #store: string;

  constructor(sidecar: SidecarConfig, store: string) {
    this.#sidecar = sidecar;
    this.#store = store;
  }

  /** @throws MemplaneError `dependency_unavailable`, …: see `callSidecar` */
  async get(key: string, options: StateOptions): Promise<StateValue | undefined> {
    const response = await this.#call('GET', `/${checked(key)}`, undefined, options);
    if (response.status === 204) return undefined;
    const etag = response.headers.get('etag');
    if (etag === null) throw this.#failed(`no ETag for ${key}`);
    return { value: await response.json(), etag };
  }

  /** Those that are there. @throws MemplaneError also when a single key could not be read */
  async getBulk(keys: readonly string[], options: StateOptions): Promise<Map<string, StateValue>> {
    const found = new Map<string, StateValue>();
    for (let at = 0; at < keys.length; at += STATE_ITEMS_MAX) {
      const some = keys.slice(at, at + STATE_ITEMS_MAX).map(checked);
      const response = await this.#call('POST', '/bulk', { keys: some, parallelism: 16 }, options);
      const items = response.status === 204 ? [] : ((await response.json()) as BulkItem[]);
      for (const { key, data, etag, error } of items) {
        if (error) throw this.#failed(error);
        if (data !== undefined && data !== null) found.set(key, { value: data, etag: etag ?? '' });
      }
    }
    return found;
  }

  /** Writes over what is there. Not atomic across items. */
  async save(items: readonly StateItem[], options: StateOptions): Promise<void> {
    for (let at = 0; at < items.length; at += STATE_ITEMS_MAX) {
      const body = items.slice(at, at + STATE_ITEMS_MAX).map(written);
      await (await this.#call('POST', '', body, options)).arrayBuffer();
    }
  }

  /**
   * Compare-and-set: writes when the key still has this ETag; without one, when it is not there.
   * After an error it is not known whether it was written.
   * @returns whether it was written
   */
  async saveIf(item: StateItem, etag: string | undefined, options: StateOptions): Promise<boolean> {
    const body = {
      ...written(item),
      ...(etag === undefined ? {} : { etag }),
      options: { concurrency: 'first-write', consistency: 'strong' },
    };
    const response = await this.#call('POST', '', [body], options, [409, 500]);
    const text = await response.text();
    if (response.status === 409 || isThereAlready(text)) return false;
    if (response.status === 500) throw this.#failed(text);
    return true;
  }

  #call(
    method: 'GET' | 'POST',
    path: string,
    body: unknown,
    options: StateOptions,
    alsoAnswers: readonly number[] = [],
  ): Promise<Response> {
    return callSidecar(this.#sidecar, {
      method,
      path: `/v1.0/state/${this.#store}${path}`,
      ...(body === undefined ? {} : { body }),
      ...options,
      what: `The state store ${this.#store}`,
      alsoAnswers,
    });
  }

  #failed(why: string): MemplaneError {
    return new MemplaneError(
      'dependency_unavailable',
      `The state store ${this.#store}: ${why}`.slice(0, 300),
      { retryAfterMs: 200 },
    );
  }
}

interface BulkItem {
  readonly key: string;
  readonly data?: unknown;
  readonly etag?: string;
  readonly error?: string;
}

/** By Redis' own script, whose refusal the component does not take for a conflict without an ETag. */
function isThereAlready(text: string): boolean {
  return /failed to set key .*ERR user_script/.test(text);
}

function checked(key: string): string {
  if (KEY.test(key)) return key;
  throw new MemplaneError('invalid_request', `A key of state can not be ${JSON.stringify(key)}`);
}

function written({ key, value, ttlSeconds }: StateItem): Record<string, unknown> {
  return {
    key: checked(key),
    value,
    ...(ttlSeconds === undefined ? {} : { metadata: { ttlInSeconds: String(ttlSeconds) } }),
  };
}
