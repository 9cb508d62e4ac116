import { type CloudEvent, type Embedding, type Json, turnText } from '@memplane/contracts';

/** What an event means for recall. Everything else of the log leaves no row. */
export interface MemoryRow {
  readonly kind: 'memory' | 'turn' | 'forgotten';
  readonly tenant: string;
  readonly entity: string;
  readonly eventId: string;
  readonly memoryId: string;
  readonly text?: string;
  readonly metadata?: { readonly [key: string]: Json };
  readonly embedding?: Embedding;
  /** From this moment on it is expired, ms since 1970. */
  readonly expiresMs?: number;
}

/**
 * The row of an event: a memory's new version, a turn of a dialogue, or the mark that a memory is
 * forgotten (kept as a row, so that a second copy of the event changes nothing).
 */
export function memoryRow(event: CloudEvent): MemoryRow | undefined {
  const { memory } = event.data;
  const common = { tenant: event.tenant, entity: event.subject, eventId: event.id };
  if (memory === undefined) {
    const text = turnText(event.data);
    return text === undefined ? undefined : { kind: 'turn', ...common, memoryId: event.id, text };
  }
  if ('forgotten' in memory) return { kind: 'forgotten', ...common, memoryId: memory.id };
  return {
    kind: 'memory',
    ...common,
    memoryId: memory.id,
    ...(memory.text === undefined ? {} : { text: memory.text }),
    ...(memory.metadata === undefined ? {} : { metadata: memory.metadata }),
    ...(memory.embedding === undefined ? {} : { embedding: memory.embedding }),
    ...(memory.ttl === undefined ? {} : { expiresMs: hlcMs(event.hlc) + memory.ttl }),
  };
}

/** Milliseconds since 1970 of a stamp in its text form. */
export function hlcMs(hlc: string): number {
  return Number.parseInt(hlc.slice(0, 12), 16);
}
