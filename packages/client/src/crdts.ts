import type { Core } from './core.ts';
import { MemplaneError } from './errors.ts';
import type { CallOptions } from './http.ts';
import type { Json, ReadOptions } from './types.ts';
import { uuidV7 } from './uuid.ts';

/** `after` takes tokens of replicas (`mct_…`). */
export interface CrdtReadOptions extends ReadOptions {
  /**
   * `local`, the default: what the replica that is asked has. `quorum`: what a majority has, joined;
   * such reads never go back, and fail with `no_quorum` where there is none.
   */
  readonly read?: 'local' | 'quorum';
}

export interface CrdtWriteOptions extends CallOptions {
  /**
   * `local`, the default: durable at the replica that is asked. `quorum`: at a majority; where it fails
   * with `no_quorum` the write stays where it was made, and spreads.
   */
  readonly write?: 'local' | 'quorum';
}

type Kind = 'counters' | 'sets' | 'registers' | 'maps';

/** A replicated value with a name. */
export class Replicated {
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

  protected read(options: CrdtReadOptions): Promise<unknown> {
    return this.#core.http.json({
      ...target('GET', this.#path, options),
      repeat: 'always',
      query: { read: options.read, ...sessionQuery(this.#core, options) },
    });
  }

  /** Takes the token of the write, so that later reads of this client include it. */
  protected async write(
    method: 'POST' | 'PUT' | 'DELETE',
    options: CrdtWriteOptions,
    more: { path?: string; body?: unknown; repeat?: 'always' | 'refused' } = {},
  ): Promise<unknown> {
    const { readYourWrites } = this.#core.settings;
    const answer = await this.#core.http.json({
      ...target(method, this.#path + (more.path ?? ''), options),
      repeat: more.repeat ?? 'refused',
      query: { write: options.write, token: readYourWrites ? 'true' : undefined },
      ...(more.body === undefined ? {} : { body: more.body }),
    });
    const { token } = (answer ?? {}) as { token?: unknown };
    if (typeof token === 'string') this.#core.session.observe(token);
    return answer;
  }

  /** A reset by causal context: what was added concurrently survives. */
  async delete(options: CrdtWriteOptions = {}): Promise<void> {
    await this.write('DELETE', options);
  }
}

function target<M extends string>(method: M, path: string, { signal, timeoutMs }: CallOptions) {
  return {
    service: 'crdt-sync',
    method,
    path,
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  } as const;
}

function sessionQuery(core: Core, options: ReadOptions) {
  const after = core.sessionAfterOf(options);
  return after.length > 0 ? { after: after.join(','), waitMs: core.waitMsOf(options) } : {};
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
  options: ReadOptions = {},
): AsyncGenerator<ListedCounter> {
  let cursor: string | undefined;
  do {
    const page = (await core.http.json({
      ...target('GET', '/v1/counters', options),
      repeat: 'always',
      query: { cursor, ...sessionQuery(core, options) },
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
  async increment(by = 1, options: CrdtWriteOptions & { opId?: string } = {}): Promise<number> {
    const { opId = uuidV7(), ...call } = options;
    const answer = await this.write('POST', call, {
      path: '/increments',
      body: { by, opId },
      repeat: 'always',
    });
    return (answer as { value: number }).value;
  }

  /** 0 for a counter that nobody has raised. */
  async get(options: CrdtReadOptions = {}): Promise<number> {
    return valueOr(this.read(options), 'value', 0);
  }
}

/** A set in which an addition wins over a concurrent removal. */
export class ReplicatedSet extends Replicated {
  constructor(core: Core, name: string) {
    super(core, 'sets', name);
  }

  async add(element: string, options: CrdtWriteOptions = {}): Promise<void> {
    await this.write('POST', options, { path: '/adds', body: { element } });
  }

  async remove(element: string, options: CrdtWriteOptions = {}): Promise<void> {
    await this.write('POST', options, { path: '/removes', body: { element } });
  }

  /** The elements; none for a set that nobody has added to. */
  async elements(options: CrdtReadOptions = {}): Promise<string[]> {
    return valueOr<string[]>(this.read(options), 'elements', []);
  }
}

/** A value of which the last writer's stays. */
export class Register extends Replicated {
  constructor(core: Core, name: string) {
    super(core, 'registers', name);
  }

  async set(value: Json, options: CrdtWriteOptions = {}): Promise<void> {
    await this.write('PUT', options, { body: { value } });
  }

  /** Undefined for a register that nobody has set. */
  async get(options: CrdtReadOptions = {}): Promise<Json | undefined> {
    return valueOr<Json | undefined>(this.read(options), 'value', undefined);
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
