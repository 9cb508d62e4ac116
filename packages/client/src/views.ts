import { type Core, entityPath, orNull } from './core.ts';
import { MemplaneError } from './errors.ts';
import type { CallOptions } from './http.ts';
import type {
  EntityReadOptions,
  EntityView,
  Filter,
  JsonObject,
  LoggedEvent,
  PastReadOptions,
  ReadOptions,
  RecallQuery,
  SearchAnswer,
} from './types.ts';

export interface HistoryOptions extends ReadOptions {
  /** The first offset. */
  readonly from?: number;
  /** Most events. */
  readonly limit?: number;
}

export interface HistoryEntry {
  readonly offset: number;
  readonly event: LoggedEvent;
  readonly [more: string]: unknown;
}

export interface HistoryPage {
  readonly entity: string;
  readonly events: readonly HistoryEntry[];
  /** The `from` of the next page; absent on the last. */
  readonly next?: number | string | null;
  readonly [more: string]: unknown;
}

export interface QueryRequest extends PastReadOptions {
  readonly filter: Filter;
  readonly entityPrefix?: string;
  readonly limit?: number;
  readonly cursor?: string;
}

/** An entity that a query found: its memories come with its view (`entity`). */
export type FoundEntity = Pick<EntityView, 'entity' | 'attributes' | 'sequence' | 'asOf'>;

export interface QueryAnswer {
  readonly entities: readonly FoundEntity[];
  /** For the next page; it reads the same cut. Absent or null on the last. */
  readonly cursor?: string | null;
  readonly [more: string]: unknown;
}

export interface ReplayRequest {
  readonly entities?: readonly string[];
  readonly types?: readonly string[];
  readonly from?: number | string;
  readonly to?: number | string;
  readonly projection?: string;
  readonly [more: string]: unknown;
}

/** Reads of the views: each tells at which offset, and all of it is of that offset. */
export class Views {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  async entity(entity: string, options: EntityReadOptions): Promise<EntityView | null> {
    const { consistency, ...others } = options;
    return orNull(this.#get(entityPath(entity), others, { consistency }) as Promise<EntityView>);
  }

  async history(entity: string, options: HistoryOptions): Promise<HistoryPage | null> {
    const page = { from: options.from, limit: options.limit };
    const path = `${entityPath(entity)}/history`;
    return orNull(this.#get(path, options, page) as Promise<HistoryPage>);
  }

  async event(id: string, entity: string | undefined, options: ReadOptions): Promise<JsonObject> {
    return (await this.#get('/v1/events', options, { entity, id })) as JsonObject;
  }

  async trace(id: string, entity: string | undefined, options: ReadOptions): Promise<JsonObject> {
    return (await this.#get('/v1/trace', options, { entity, id })) as JsonObject;
  }

  async query(request: QueryRequest): Promise<QueryAnswer> {
    const { filter, entityPrefix, limit, cursor } = request;
    return (await this.#post('materializer', '/v1/query', request, {
      filter,
      entityPrefix,
      limit,
      cursor,
    })) as QueryAnswer;
  }

  async recall(request: RecallQuery): Promise<SearchAnswer> {
    const { text, vector, model, topK, filter, entity } = request;
    if (text === undefined && vector === undefined) {
      throw new MemplaneError('invalid_argument', 'Give a text, a vector, or both.', {
        field: 'text',
      });
    }
    return (await this.#post('vector-index', '/v1/search', request, {
      text,
      vector,
      model,
      topK,
      filter,
      entity,
    })) as SearchAnswer;
  }

  async shards(options: CallOptions): Promise<JsonObject> {
    return (await this.#core.http.json({
      ...options,
      service: 'materializer',
      method: 'GET',
      path: '/v1/shards',
      repeat: 'always',
    })) as JsonObject;
  }

  /** Starts a replay and waits until it has ended, at most the call's deadline. */
  async replay(request: ReplayRequest, options: CallOptions): Promise<JsonObject> {
    const call = { ...options, service: 'materializer', repeat: 'refused' } as const;
    const timeoutMs = options.timeoutMs ?? 120_000;
    const deadlineMs = performance.now() + timeoutMs;
    let state = (await this.#core.http.json({
      ...call,
      timeoutMs,
      method: 'POST',
      path: '/v1/replays',
      body: request,
    })) as JsonObject;
    for (let waitMs = 10; isRunning(state); waitMs = Math.min(500, waitMs * 2)) {
      if (performance.now() > deadlineMs) {
        const message = `The replay ${String(state['id'])} is still running; it goes on.`;
        throw new MemplaneError('deadline_exceeded', message, { transient: true, extra: state });
      }
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      state = await this.replayState(String(state['id']), options);
    }
    return state;
  }

  async replayState(id: string, options: CallOptions): Promise<JsonObject> {
    return (await this.#core.http.json({
      ...options,
      service: 'materializer',
      method: 'GET',
      path: `/v1/replays/${encodeURIComponent(id)}`,
      repeat: 'always',
    })) as JsonObject;
  }

  #get(
    path: string,
    options: PastReadOptions,
    query: Readonly<Record<string, string | number | undefined>>,
  ): Promise<unknown> {
    const after = this.#core.afterOf(options);
    return this.#core.http.json({
      ...callOf(options),
      service: 'materializer',
      method: 'GET',
      path,
      repeat: 'always',
      query: {
        ...query,
        asOf: options.asOf,
        ...(after.length > 0 ? { after, waitMs: this.#core.waitMsOf(options) } : {}),
      },
    });
  }

  #post(
    service: 'materializer' | 'vector-index',
    path: string,
    options: PastReadOptions,
    body: Record<string, unknown>,
  ): Promise<unknown> {
    const after = this.#core.afterOf(options);
    return this.#core.http.json({
      ...callOf(options),
      service,
      method: 'POST',
      path,
      repeat: 'always',
      body: {
        ...body,
        asOf: options.asOf,
        ...(after.length > 0 ? { after } : {}),
        waitMs: this.#core.waitMsOf(options),
      },
    });
  }
}

function callOf({ signal, timeoutMs }: CallOptions): CallOptions {
  return {
    ...(signal === undefined ? {} : { signal }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

function isRunning(state: JsonObject): boolean {
  return state['status'] === 'running' || state['status'] === 'queued';
}
