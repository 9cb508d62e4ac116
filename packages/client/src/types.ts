import type { CallOptions } from './http.ts';
import type { Scope } from './scope.ts';

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

/** A condition on attributes or metadata: `{channel: 'email', priority: {$gte: 3}}`. */
export type Filter = JsonObject;

export interface Embedding {
  readonly model: string;
  /** Numbers, or base64 of little-endian float32. */
  readonly values: readonly number[] | string;
}

export type MemoryChange =
  | { readonly id: string; readonly forgotten: true }
  | {
      readonly id: string;
      readonly text?: string;
      readonly metadata?: JsonObject;
      readonly embedding?: Embedding;
      /** Milliseconds, counted from the stamp of the event. */
      readonly ttl?: number;
    };

/** What an agent tells: the short form of an event. */
export interface NewEvent {
  /** The idempotency key within its entity; made by the client when absent. */
  readonly id?: string;
  readonly type: string;
  /** `kind/id`, e.g. `user/42`. See `entityOf` for outside ids. */
  readonly entity: string;
  readonly source?: string;
  /** When it happened, RFC 3339. */
  readonly time?: string;
  readonly data?: Json;
  /** A JSON Merge Patch for the entity's attributes. */
  readonly attributes?: JsonObject;
  readonly memory?: MemoryChange;
  readonly correlationId?: string;
  readonly causationId?: string;
  /** Strong zones only: append if the entity is at this sequence. In the first event of a call. */
  readonly expectedSequence?: number;
  readonly lease?: string;
  readonly fencingToken?: number;
}

/** Where an event is, durable. */
export interface Appended {
  readonly id: string;
  readonly entity: string;
  readonly partition: number;
  readonly offset: number;
  readonly hlc: string;
  /** It had been appended before; the position is that of the first time. */
  readonly duplicate: boolean;
  /** Of a strong entity with this event. */
  readonly sequence?: number;
  /** A read `after` this token includes the event (and what went in the same batch). */
  readonly token: string;
}

/** What every read takes. */
export interface ReadOptions extends CallOptions {
  /**
   * Tokens that the read must include, beside what this client has written itself; `null` for
   * neither: whatever is visible now.
   */
  readonly after?: string | readonly string[] | null;
  /** How long the plane may wait for that, in milliseconds. */
  readonly waitMs?: number;
}

export interface PastReadOptions extends ReadOptions {
  /** `offset:N`, `event:ID`, `time:T`, `token:T`, or bare an RFC 3339 time, token or event id. */
  readonly asOf?: string;
}

/** Reads of one entity. */
export interface EntityReadOptions extends PastReadOptions {
  /** `linearizable`: with every append that was answered before, whoever made it; strong zones only. */
  readonly consistency?: 'eventual' | 'linearizable';
}

/** The consistency zone of an entity, and why. */
export interface EntityZone {
  readonly entity: string;
  readonly zone: 'strong' | 'eventual';
  /** The first rule that matches the entity. */
  readonly rule?: string;
  /** Of the table in force; 0: there is none. */
  readonly version: number;
  readonly changesTo?: 'strong' | 'eventual';
  readonly waitsFor?: readonly string[];
  readonly file?: { readonly path: string; readonly problem?: string };
}

export interface ViewMemory {
  readonly id: string;
  readonly text?: string;
  readonly metadata?: JsonObject;
  readonly [more: string]: unknown;
}

/** The view of an entity, all of it at one offset. */
export interface EntityView {
  readonly entity: string;
  readonly attributes: JsonObject;
  readonly memories: readonly ViewMemory[];
  /** The number of applied events of the entity. */
  readonly sequence: number;
  readonly asOf: {
    readonly epoch: number;
    readonly partition: number;
    readonly offset: number;
    readonly hlc: string;
  };
  readonly [more: string]: unknown;
}

/** An event in the log: CloudEvents 1.0. */
export interface LoggedEvent {
  readonly id: string;
  readonly type: string;
  readonly source: string;
  /** The entity. */
  readonly subject: string;
  readonly time: string;
  readonly hlc: string;
  readonly correlationid?: string;
  readonly causationid?: string;
  readonly data: {
    readonly data?: Json;
    readonly attributes?: JsonObject;
    readonly memory?: MemoryChange;
  };
  readonly [more: string]: unknown;
}

export interface SearchHit {
  readonly memoryId: string;
  readonly entity: string;
  /** Higher is better; comparable within one answer only. */
  readonly score: number;
  readonly eventId: string;
  readonly offset: number;
  readonly memory: ViewMemory;
}

export interface SearchAnswer {
  readonly results: readonly SearchHit[];
  /** As `asOf` of the same search it finds the same again. */
  readonly token: string;
  readonly asOf: unknown;
  readonly vectorsPending?: number;
}

export interface RecallQuery extends PastReadOptions {
  readonly text?: string;
  readonly vector?: readonly number[] | string;
  readonly model?: string;
  readonly topK?: number;
  /** About the memory's metadata; `entity.x` is about its entity's attributes. */
  readonly filter?: Filter;
  readonly entity?: string;
}

/** A memory as the verbs of memory libraries see it. */
export interface Memory {
  /** `kind/id#memoryId` */
  readonly id: string;
  readonly entity: string;
  readonly text: string | undefined;
  readonly metadata: JsonObject;
}

export interface FoundMemory extends Memory {
  readonly score: number;
  readonly eventId: string;
}

export interface Message {
  readonly role: string;
  readonly content: string;
}

export interface AddOptions extends Scope, CallOptions {
  /** The memory's own id; made when absent. The same id again replaces the memory. */
  readonly memoryId?: string;
  readonly metadata?: JsonObject;
  readonly embedding?: Embedding;
  /** Milliseconds. */
  readonly ttl?: number;
  readonly correlationId?: string;
  readonly causationId?: string;
}

export interface SearchOptions extends Scope, PastReadOptions {
  readonly topK?: number;
  readonly filter?: Filter;
  readonly vector?: readonly number[] | string;
  readonly model?: string;
}

export interface MemoryUpdate {
  readonly text?: string;
  /** Members replace those of the same name, `null` removes one, the others stay. */
  readonly metadata?: JsonObject;
  readonly embedding?: Embedding;
  /** Milliseconds from now; absent: the memory keeps no limit. */
  readonly ttl?: number;
}

/** One step in the life of a memory. */
export interface MemoryChangeRecord {
  readonly eventId: string;
  readonly type: string;
  readonly time: string;
  readonly change: 'added' | 'updated' | 'deleted';
  readonly text: string | undefined;
  readonly metadata: JsonObject;
  readonly source: string;
}
