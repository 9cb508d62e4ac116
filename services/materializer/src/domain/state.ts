import { formatHlc, hlcToMs } from '@memplane/clock';
import { type CloudEvent, type Json, mergePatch } from '@memplane/contracts';

export type Attributes = { [key: string]: Json };

/** A memory as the view shows it. The vector's values stay in the event. */
export interface MemoryView {
  readonly id: string;
  readonly text?: string;
  readonly metadata?: { readonly [key: string]: Json };
  /** Milliseconds from the stamp of the event on. */
  readonly ttl?: number;
  /** The event that brought this version, and where it is. */
  readonly eventId: string;
  readonly offset: number;
  readonly hlc: string;
  readonly embedding?: { readonly model: string; readonly dimensions: number };
}

/** An event as it was read from the log. */
export interface LogEvent {
  readonly offset: number;
  readonly hlc: bigint;
  readonly event: CloudEvent;
  /** The entity's sequence with it, where the store tells. */
  readonly sequence?: number;
}

/** The state of one entity: a pure function of its applied events, in order. */
export interface EntityState {
  sequence: number;
  /** Of the newest applied event; -1: none. */
  offset: number;
  hlc: bigint;
  attributes: Attributes;
  readonly memories: Map<string, MemoryView>;
}

export function emptyState(): EntityState {
  return { sequence: 0, offset: -1, hlc: 0n, attributes: {}, memories: new Map() };
}

/** Applies one event in place. Only accepted events may be given: no duplicates, no reused ids. */
export function evolve(state: EntityState, { offset, hlc, event, sequence }: LogEvent): void {
  state.sequence++;
  state.offset = offset;
  state.hlc = hlc;
  const { attributes, memory, erased } = event.data;
  if (erased !== undefined) {
    state.attributes = {};
    state.memories.clear();
    // What came before it was counted, and is not there to be counted again.
    if (sequence !== undefined) state.sequence = sequence;
  }
  if (attributes !== undefined) {
    state.attributes = mergePatch(state.attributes, attributes as Attributes) as Attributes;
  }
  if (memory === undefined) return;
  const view = memoryView({ offset, hlc, event });
  // Removed first, so that a replaced memory moves to the end: the newest comes last.
  state.memories.delete(memory.id);
  if (view !== undefined) state.memories.set(memory.id, view);
}

/** The memory version that an event brings; nothing when it forgets one, or has none. */
export function memoryView({ offset, hlc, event }: LogEvent): MemoryView | undefined {
  const { memory } = event.data;
  if (memory === undefined || 'forgotten' in memory) return undefined;
  const { id, text, metadata, ttl, embedding } = memory;
  return {
    id,
    ...(text === undefined ? {} : { text }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(ttl === undefined ? {} : { ttl }),
    eventId: event.id,
    offset,
    hlc: formatHlc(hlc),
    ...(embedding === undefined
      ? {}
      : { embedding: { model: embedding.model, dimensions: dimensionsOf(embedding.values) } }),
  };
}

/** Base64 holds little-endian float32, 4 bytes each. */
function dimensionsOf(values: string | readonly number[]): number {
  if (typeof values !== 'string') return values.length;
  return Math.floor(Buffer.byteLength(values, 'base64') / 4);
}

const LATEST_MS = 2 ** 48 - 1;

/** When a version with a `ttl` ends, in ms since 1970; 0: never. */
export function expiresMs(ttl: number | undefined, hlc: bigint): number {
  return ttl === undefined ? 0 : Math.min(hlcToMs(hlc) + ttl, LATEST_MS);
}

/** Whether a version is past its `ttl` at a time. At the very end it is gone. */
export function isExpired(expires: number, atMs: number): boolean {
  return expires !== 0 && atMs >= expires;
}
