import type { Appender } from './append.ts';
import { type Core, orNull } from './core.ts';
import { MemplaneError } from './errors.ts';
import type { CallOptions } from './http.ts';
import { joinMemoryId, type Scope, scopeEntity, scopeMetadata, splitMemoryId } from './scope.ts';
import type {
  AddOptions,
  Appended,
  Embedding,
  FoundMemory,
  Json,
  JsonObject,
  LoggedEvent,
  Memory,
  MemoryChangeRecord,
  MemoryUpdate,
  Message,
  NewEvent,
  PastReadOptions,
  ReadOptions,
  SearchOptions,
  ViewMemory,
} from './types.ts';
import { uuidV7 } from './uuid.ts';
import type { Views } from './views.ts';

const SCOPE_NAMES = ['userId', 'agentId', 'sessionId'];
const HISTORY_PAGE_EVENTS = 500;
const DELETE_PASSES_MAX = 100;

/** The verbs that people know from memory libraries, as events of the plane. */
export class Memories {
  readonly #core: Core;
  readonly #appender: Appender;
  readonly #views: Views;

  constructor(core: Core, appender: Appender, views: Views) {
    this.#core = core;
    this.#appender = appender;
    this.#views = views;
  }

  async add(input: string | readonly Message[], options: AddOptions): Promise<Memory[]> {
    const entity = scopeEntity(options);
    const scope = scopeMetadata(options);
    const turns = typeof input === 'string' ? [{ content: input }] : input;
    const added: Memory[] = [];
    const events: NewEvent[] = [];
    for (const [i, turn] of turns.entries()) {
      const given = options.memoryId;
      const memoryId = given === undefined ? uuidV7() : i === 0 ? given : `${given}.${i}`;
      const role = 'role' in turn ? { role: turn.role } : {};
      const metadata = { ...role, ...options.metadata, ...scope };
      const { embedding, ttl, correlationId, causationId } = options;
      events.push({
        type: 'MemoryAdded',
        entity,
        memory: {
          id: memoryId,
          text: turn.content,
          metadata,
          ...(embedding === undefined ? {} : { embedding }),
          ...(ttl === undefined ? {} : { ttl }),
        },
        ...(correlationId === undefined ? {} : { correlationId }),
        ...(causationId === undefined ? {} : { causationId }),
      });
      added.push({ id: joinMemoryId(entity, memoryId), entity, text: turn.content, metadata });
    }
    await this.#appender.append(events, options);
    return added;
  }

  async search(query: string | undefined, options: SearchOptions): Promise<FoundMemory[]> {
    const { userId: _u, agentId: _a, sessionId: _s, filter, ...rest } = options;
    const scope = scopeMetadata(options);
    const hasScope = Object.keys(scope).length > 0;
    const both =
      filter === undefined ? scope : hasScope ? { $and: [scope, filter] as Json[] } : filter;
    const answer = await this.#views.recall({
      ...rest,
      ...(query === undefined ? {} : { text: query }),
      ...(Object.keys(both).length > 0 ? { filter: both } : {}),
    });
    return answer.results.map((hit) => ({
      ...memoryOf(hit.entity, hit.memory),
      id: joinMemoryId(hit.entity, hit.memoryId),
      score: hit.score,
      eventId: hit.eventId,
    }));
  }

  async get(id: string, options: PastReadOptions): Promise<Memory | null> {
    const { entity, memoryId } = splitMemoryId(id);
    const found = await this.#find(entity, memoryId, options);
    return found === undefined ? null : memoryOf(entity, found);
  }

  async getAll(scope: Scope, options: PastReadOptions): Promise<Memory[]> {
    const entity = scopeEntity(scope);
    const view = await this.#views.entity(entity, options);
    const wanted = Object.entries(scopeMetadata(scope));
    return (view?.memories ?? [])
      .map((memory) => memoryOf(entity, memory))
      .filter((memory) =>
        wanted.every(([name, value]) => {
          // An event's own memory may have no scope in its metadata: its entity says enough.
          const has = memory.metadata[name];
          return has === value || (has === undefined && name === firstOf(scope));
        }),
      );
  }

  async update(id: string, change: MemoryUpdate, options: CallOptions): Promise<Memory> {
    const { entity, memoryId } = splitMemoryId(id);
    const old = await this.#find(entity, memoryId, options);
    if (old === undefined) {
      throw new MemplaneError('not_found', `There is no memory ${id}.`, {
        status: 404,
        field: 'id',
      });
    }
    const text = change.text ?? old.text;
    const metadata = mergeMetadata(old.metadata ?? {}, change.metadata ?? {});
    const embedding = change.embedding ?? (await this.#keptEmbedding(entity, old, text, options));
    const ttl = change.ttl ?? remainingTtl(old);
    await this.#appender.append(
      [
        {
          type: 'MemoryUpdated',
          entity,
          memory: {
            id: memoryId,
            metadata,
            ...(text === undefined ? {} : { text }),
            ...(embedding === undefined ? {} : { embedding }),
            ...(ttl === undefined ? {} : { ttl }),
          },
        },
      ],
      options,
    );
    return { id, entity, text, metadata };
  }

  async delete(id: string, options: CallOptions): Promise<Appended> {
    const { entity, memoryId } = splitMemoryId(id);
    const [appended] = await this.#appender.append([forgets(entity, memoryId)], options);
    if (appended === undefined) throw new MemplaneError('bad_answer', 'Nothing was appended.');
    return appended;
  }

  async deleteAll(scope: Scope, options: CallOptions): Promise<number> {
    let deleted = 0;
    for (let pass = 0; pass < DELETE_PASSES_MAX; pass++) {
      const memories = await this.getAll(scope, options);
      if (memories.length === 0) return deleted;
      const events = memories
        .slice(0, this.#core.settings.queue_events_max)
        .map(({ id, entity }) => forgets(entity, splitMemoryId(id).memoryId));
      await this.#appender.append(events, options);
      deleted += events.length;
    }
    throw new MemplaneError('deadline_exceeded', 'Others add faster than this can delete.', {
      transient: true,
      extra: { deleted },
    });
  }

  async history(id: string, options: ReadOptions): Promise<MemoryChangeRecord[]> {
    const { entity, memoryId } = splitMemoryId(id);
    const changes: MemoryChangeRecord[] = [];
    let alive = false;
    for await (const event of this.#events(entity, options)) {
      const memory = event.data.memory;
      if (memory?.id !== memoryId) continue;
      const forgotten = 'forgotten' in memory;
      changes.push({
        eventId: event.id,
        type: event.type,
        time: event.time,
        change: forgotten ? 'deleted' : alive ? 'updated' : 'added',
        text: forgotten ? undefined : memory.text,
        metadata: (forgotten ? undefined : memory.metadata) ?? {},
        source: event.source,
      });
      alive = !forgotten;
    }
    return changes;
  }

  async *#events(entity: string, options: ReadOptions): AsyncGenerator<LoggedEvent> {
    let from: number | undefined;
    for (;;) {
      const page = await this.#views.history(entity, {
        ...options,
        limit: HISTORY_PAGE_EVENTS,
        ...(from === undefined ? {} : { from }),
      });
      for (const entry of page?.events ?? []) {
        if (entry['rejected'] === undefined) yield entry.event;
      }
      if (page?.next === undefined || page.next === null) return;
      from = Number(page.next);
    }
  }

  async #find(
    entity: string,
    memoryId: string,
    options: PastReadOptions,
  ): Promise<ViewMemory | undefined> {
    const view = await this.#views.entity(entity, options);
    return view?.memories.find((memory) => memory.id === memoryId);
  }

  /** The view shows no vectors: while the text stays, the vector is taken from its event. */
  async #keptEmbedding(
    entity: string,
    old: ViewMemory,
    text: string | undefined,
    options: CallOptions,
  ): Promise<Embedding | undefined> {
    const eventId = old['eventId'];
    if (text !== old.text || old['embedding'] === undefined) return undefined;
    if (typeof eventId !== 'string') return undefined;
    const answer = await orNull(this.#views.event(eventId, entity, options));
    const event = answer?.['event'] as LoggedEvent | undefined;
    const memory = event?.data.memory;
    return memory === undefined || 'forgotten' in memory ? undefined : memory.embedding;
  }
}

function forgets(entity: string, id: string): NewEvent {
  return { type: 'MemoryForgotten', entity, memory: { id, forgotten: true } };
}

function memoryOf(entity: string, memory: ViewMemory): Memory {
  return {
    id: joinMemoryId(entity, memory.id),
    entity,
    text: memory.text,
    metadata: memory.metadata ?? {},
  };
}

function firstOf(scope: Scope): string | undefined {
  return SCOPE_NAMES.find((name) => scope[name as keyof Scope] !== undefined);
}

/** Whose memory it is can't be changed: that would be another entity's memory. */
function mergeMetadata(old: JsonObject, change: JsonObject): JsonObject {
  const merged: Record<string, Json> = { ...old };
  for (const [name, value] of Object.entries(change)) {
    if (SCOPE_NAMES.includes(name) && value !== old[name]) {
      throw new MemplaneError('invalid_argument', `${name} of a memory can't be changed.`, {
        field: `metadata.${name}`,
      });
    }
    if (value === null) delete merged[name];
    else merged[name] = value;
  }
  return merged;
}

/** What is left of a memory's time: an update does not make it live longer. */
function remainingTtl(old: ViewMemory): number | undefined {
  const { ttl, hlc } = old;
  if (typeof ttl !== 'number' || typeof hlc !== 'string') return undefined;
  const bornMs = Number.parseInt(hlc.slice(0, 12), 16);
  return Math.max(1, bornMs + ttl - Date.now());
}
