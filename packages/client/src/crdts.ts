import type { Core } from './core.ts';
import { MemplaneError } from './errors.ts';
import type { CallOptions } from './http.ts';
import type { Json } from './types.ts';
import { uuidV7 } from './uuid.ts';

export interface CrdtReadOptions extends CallOptions {
  /** `quorum` asks a majority of the replicas; `local` the nearest one. */
  readonly read?: 'local' | 'quorum';
}

type Kind = 'counters' | 'sets' | 'registers';

/** A replicated value with a name. */
class Replicated {
  readonly name: string;
  readonly #core: Core;
  readonly #path: string;

  constructor(core: Core, kind: Kind, name: string) {
    if (!/^[A-Za-z0-9._~:@-]{1,128}$/.test(name) || name === '.' || name === '..') {
      throw new MemplaneError('invalid_argument', `"${name}" is no name for one of ${kind}.`, {
        field: 'name',
      });
    }
    this.#core = core;
    this.name = name;
    this.#path = `/v1/${kind}/${name}`;
  }

  protected call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    options: CallOptions,
    more: { path?: string; body?: unknown; read?: string; repeat?: 'always' | 'refused' } = {},
  ): Promise<unknown> {
    const { signal, timeoutMs } = options;
    return this.#core.http.json({
      service: 'crdt-sync',
      method,
      path: this.#path + (more.path ?? ''),
      repeat: more.repeat ?? (method === 'GET' ? 'always' : 'refused'),
      query: { read: more.read },
      ...(more.body === undefined ? {} : { body: more.body }),
      ...(signal === undefined ? {} : { signal }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  }

  /** A reset by causal context: what was added concurrently survives. */
  async delete(options: CallOptions = {}): Promise<void> {
    await this.call('DELETE', options);
  }
}

/** One counter as a list shows it. */
export interface ListedCounter {
  readonly name: string;
  readonly value: number;
  readonly [more: string]: unknown;
}

/** All counters, page by page. */
export async function* listCounters(
  core: Core,
  options: CallOptions = {},
): AsyncGenerator<ListedCounter> {
  let cursor: string | undefined;
  do {
    const { signal, timeoutMs } = options;
    const page = (await core.http.json({
      service: 'crdt-sync',
      method: 'GET',
      path: '/v1/counters',
      repeat: 'always',
      query: { cursor },
      ...(signal === undefined ? {} : { signal }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    })) as { counters: ListedCounter[]; nextCursor?: string };
    yield* page.counters;
    cursor = page.nextCursor;
  } while (cursor !== undefined);
}

/** A counter that any agent may raise or lower anywhere. */
export class Counter extends Replicated {
  constructor(core: Core, name: string) {
    super(core, 'counters', name);
  }

  /** @returns the new value. The operation has an id of its own, so a repetition counts once. */
  async increment(by = 1, options: CallOptions & { opId?: string } = {}): Promise<number> {
    const { opId = uuidV7(), ...call } = options;
    const answer = await this.call('POST', call, {
      path: '/increments',
      body: { by, opId },
      repeat: 'always',
    });
    return (answer as { value: number }).value;
  }

  /** 0 for a counter that nobody has raised. */
  async get(options: CrdtReadOptions = {}): Promise<number> {
    const more = options.read === undefined ? {} : { read: options.read };
    return valueOr(this.call('GET', options, more), 'value', 0);
  }
}

/** A set in which an addition wins over a concurrent removal. */
export class ReplicatedSet extends Replicated {
  constructor(core: Core, name: string) {
    super(core, 'sets', name);
  }

  async add(element: string, options: CallOptions = {}): Promise<void> {
    await this.call('POST', options, { path: '/adds', body: { element } });
  }

  async remove(element: string, options: CallOptions = {}): Promise<void> {
    await this.call('POST', options, { path: '/removes', body: { element } });
  }

  /** The elements; none for a set that nobody has added to. */
  async elements(options: CrdtReadOptions = {}): Promise<string[]> {
    const more = options.read === undefined ? {} : { read: options.read };
    return valueOr<string[]>(this.call('GET', options, more), 'elements', []);
  }
}

/** A value of which the last writer's stays. */
export class Register extends Replicated {
  constructor(core: Core, name: string) {
    super(core, 'registers', name);
  }

  async set(value: Json, options: CallOptions = {}): Promise<void> {
    await this.call('PUT', options, { body: { value } });
  }

  /** Undefined for a register that nobody has set. */
  async get(options: CrdtReadOptions = {}): Promise<Json | undefined> {
    const more = options.read === undefined ? {} : { read: options.read };
    return valueOr<Json | undefined>(this.call('GET', options, more), 'value', undefined);
  }
}

async function valueOr<T>(answer: Promise<unknown>, member: string, fallback: T): Promise<T> {
  try {
    const value = ((await answer) as Record<string, unknown>)[member];
    return value === undefined ? fallback : (value as T);
  } catch (error) {
    if (error instanceof MemplaneError && error.code === 'not_found') return fallback;
    throw error;
  }
}
