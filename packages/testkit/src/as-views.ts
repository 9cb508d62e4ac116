import { isDeepStrictEqual } from 'node:util';
import { expectStatus } from './http.ts';

/** What a read of an entity answers, as far as tests look at it. */
export interface EntityView {
  readonly entity: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly memories: readonly ViewMemory[];
  readonly sequence: number;
  readonly asOf: {
    readonly epoch: number;
    readonly partition: number;
    readonly offset: number;
    readonly hlc: string;
  };
}

export interface ViewMemory {
  readonly id: string;
  readonly text?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export interface Accepted {
  readonly id: string;
  readonly entity: string;
  readonly partition: number;
  readonly offset: number;
  readonly hlc: string;
  readonly duplicate: boolean;
}

export interface AppendAnswer {
  readonly accepted: readonly Accepted[];
  readonly token: string;
}

export interface SearchHit {
  readonly memoryId: string;
  readonly entity: string;
  readonly score: number;
  readonly eventId: string;
  readonly offset: number;
  readonly memory: Readonly<Record<string, unknown>> & {
    readonly metadata?: Readonly<Record<string, unknown>>;
  };
}

export interface SearchAnswer {
  readonly results: readonly SearchHit[];
  readonly asOf: unknown;
  readonly token: string;
}

export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly transient: boolean;
  readonly field?: string;
}

/** The path of an entity; `kind/id` is two segments. */
export function entityPath(entity: string, query: Record<string, string | number> = {}): string {
  const text = new URLSearchParams(
    Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]),
  ).toString();
  return `/v1/entities/${entity}${text === '' ? '' : `?${text}`}`;
}

/** Reads an entity, or undefined where it has no events. */
export async function readEntity(
  materializer: string,
  entity: string,
  query: Record<string, string | number> = {},
): Promise<EntityView> {
  return expectStatus<EntityView>(200, 'GET', materializer + entityPath(entity, query));
}

/** JSON with its keys in order: equal texts are equal values. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner,
  );
}

export function sameJson(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(JSON.parse(canonical(a)), JSON.parse(canonical(b)));
}
