import { hlcToMs } from '@memplane/clock';
import type { LogRecord } from '@memplane/event-log';

/**
 * What views should be, written as simply as can be and sharing nothing with the real fold: the
 * judge of its tests.
 */
export interface NaiveEntity {
  sequence: number;
  attributes: { [key: string]: unknown };
  memories: Map<string, { text?: string; eventId: string; offset: number; endsMs: number }>;
}

export interface NaiveViews {
  readonly entities: Map<string, NaiveEntity>;
  duplicates: number;
  rejected: number;
  sessions: number;
}

interface NaiveEvent {
  id: string;
  type: string;
  subject: string;
  digest: string;
  data: {
    attributes?: object;
    memory?: { id: string; text?: string; ttl?: number; forgotten?: boolean };
  };
}

export function naiveFold(records: readonly LogRecord[]): NaiveViews {
  const views: NaiveViews = { entities: new Map(), duplicates: 0, rejected: 0, sessions: 0 };
  const seen = new Map<string, string>();
  const open = new Set<string>();
  for (const record of records) {
    const event = JSON.parse(record.value.toString()) as NaiveEvent;
    const name = JSON.stringify([event.subject, event.id]);
    const before = seen.get(name);
    if (before !== undefined) {
      if (before === event.digest) views.duplicates++;
      else views.rejected++;
      continue;
    }
    seen.set(name, event.digest);
    const entity = views.entities.get(event.subject) ?? {
      sequence: 0,
      attributes: {},
      memories: new Map(),
    };
    views.entities.set(event.subject, entity);
    entity.sequence++;
    if (event.data.attributes) merge(entity.attributes, event.data.attributes);
    const { memory } = event.data;
    if (memory?.forgotten) entity.memories.delete(memory.id);
    else if (memory) {
      entity.memories.set(memory.id, {
        ...(memory.text === undefined ? {} : { text: memory.text }),
        eventId: event.id,
        offset: record.offset,
        endsMs: memory.ttl === undefined ? Infinity : hlcToMs(record.hlc) + memory.ttl,
      });
    }
    if (event.subject.startsWith('session/')) {
      if (event.type === 'SessionStarted') open.add(event.subject);
      if (event.type === 'SessionEnded') open.delete(event.subject);
    }
  }
  views.sessions = open.size;
  return views;
}

function merge(target: { [key: string]: unknown }, patch: object): void {
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete target[key];
    else if (typeof value !== 'object' || Array.isArray(value)) target[key] = value;
    else {
      const old = target[key];
      const isObject = typeof old === 'object' && old !== null && !Array.isArray(old);
      const inner = isObject ? { ...old } : {};
      merge(inner, value);
      target[key] = inner;
    }
  }
}
