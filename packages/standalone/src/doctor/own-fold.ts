/** An event of an entity's history, as far as its view depends on it. */
export interface HistoryEvent {
  readonly offset: number;
  readonly rejected?: string;
  readonly event: {
    readonly data?: {
      readonly attributes?: unknown;
      readonly memory?: {
        readonly id: string;
        readonly text?: string;
        readonly ttl?: number;
        readonly forgotten?: boolean;
      };
    };
  };
}

/** What the history says that a view must show. */
export interface OwnFold {
  attributes: unknown;
  sequence: number;
  /** Text by memory id; those that may have expired are left to the plane. */
  readonly memories: Map<string, string | undefined>;
  readonly mayExpire: Set<string>;
}

export function emptyFold(): OwnFold {
  return { attributes: {}, sequence: 0, memories: new Map(), mayExpire: new Set() };
}

/** Applies the next event of the history: shares no code with the views, which it is to check. */
export function foldEvent(fold: OwnFold, { event: { data }, rejected }: HistoryEvent): void {
  if (rejected !== undefined) return;
  fold.sequence++;
  if (data?.attributes !== undefined) fold.attributes = patched(fold.attributes, data.attributes);
  const memory = data?.memory;
  if (memory === undefined) return;
  fold.memories.delete(memory.id);
  fold.mayExpire.delete(memory.id);
  if (memory.forgotten === true) return;
  fold.memories.set(memory.id, memory.text);
  if (memory.ttl !== undefined) fold.mayExpire.add(memory.id);
}

/** RFC 7396, as its own pseudo code has it. */
function patched(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const isObject = typeof target === 'object' && target !== null && !Array.isArray(target);
  const result = new Map(isObject ? Object.entries(target) : []);
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) result.delete(name);
    else result.set(name, patched(result.get(name), value));
  }
  return Object.fromEntries(result);
}
