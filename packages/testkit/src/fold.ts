import type { FeedRecord, LoggedMemory } from './feed.ts';

/** What the views must say of one entity, worked out anew from the log. */
export interface FoldedEntity {
  readonly entity: string;
  readonly partition: number;
  attributes: Record<string, unknown>;
  readonly memories: Map<string, LoggedMemory>;
  /** Number of applied events. */
  sequence: number;
  lastOffset: number;
  lastHlc: string;
  /** Ids in the order in which they were applied. */
  readonly eventIds: string[];
}

/**
 * A fold of the log that shares no code with the plane: what the design says, as plainly as can be.
 * The first record of an id is applied; the same content again is a duplicate; other content under
 * a used id is rejected. `ttl` is not looked at.
 */
export class Fold {
  readonly entities = new Map<string, FoldedEntity>();
  /** By `entity id`, in which record an event was first. */
  readonly first = new Map<string, FeedRecord>();
  duplicates = 0;
  rejected = 0;

  apply(record: FeedRecord): void {
    const { event } = record;
    const key = eventKey(event.subject, event.id);
    const earlier = this.first.get(key);
    if (earlier !== undefined) {
      if (earlier.event.digest === event.digest) this.duplicates++;
      else this.rejected++;
      return;
    }
    this.first.set(key, record);
    const state = this.#entity(event.subject, record.partition);
    if (event.data.attributes !== undefined) {
      state.attributes = mergePatch(state.attributes, event.data.attributes) as Record<
        string,
        unknown
      >;
    }
    const { memory } = event.data;
    if (memory !== undefined) {
      if (memory.forgotten === true) state.memories.delete(memory.id);
      else state.memories.set(memory.id, memory);
    }
    state.sequence++;
    state.lastOffset = record.offset;
    state.lastHlc = event.hlc;
    state.eventIds.push(event.id);
  }

  #entity(entity: string, partition: number): FoldedEntity {
    let state = this.entities.get(entity);
    if (state === undefined) {
      state = {
        entity,
        partition,
        attributes: {},
        memories: new Map(),
        sequence: 0,
        lastOffset: -1,
        lastHlc: '',
        eventIds: [],
      };
      this.entities.set(entity, state);
    }
    return state;
  }
}

/** Names an event: ids are unique within their entity only. No entity holds a space. */
export function eventKey(entity: string, id: string): string {
  return `${entity} ${id}`;
}

/** RFC 7396, after its own pseudo code. Neither argument is changed. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const result = new Map(Object.entries(isObject(target) ? target : {}));
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) result.delete(name);
    else result.set(name, mergePatch(result.get(name), value));
  }
  return Object.fromEntries(result);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
