import type { z } from 'zod';
import type { ErrorCode } from './errors.ts';
import type { Role } from './roles.ts';

/** One documented answer of an operation. Without a schema the body is not JSON. */
export interface OperationResponse {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** Media types other than JSON, e.g. `application/x-ndjson`. */
  readonly mediaTypes?: readonly string[];
}

/**
 * One operation of a service's API: the single source for validation, OpenAPI and the client's types.
 * `path` uses `{name}` for parameters; an entity is two of them, `{kind}/{id}`.
 */
export interface Operation<
  Params extends z.ZodType = z.ZodType,
  Query extends z.ZodType = z.ZodType,
  Body extends z.ZodType = z.ZodType,
> {
  readonly id: string;
  readonly method: 'get' | 'post' | 'put' | 'delete';
  readonly path: `/${string}`;
  readonly summary: string;
  readonly tags?: readonly string[];
  /**
   * What the caller must be, where the plane has tenants: one of its own services (`plane`), or one
   * that has the role. Without it nobody may.
   */
  readonly role?: Role | 'plane';
  /**
   * What comes first where requests wait to be let in. By default reads come first, then small
   * bodies, then large ones.
   */
  readonly urgency?: 'first' | 'normal' | 'bulk';
  /** Whether it mostly waits for what other callers do. */
  readonly waits?: boolean;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  /** Success answers by status. Problems are listed in `errors`. */
  readonly responses: Readonly<Record<number, OperationResponse>>;
  /** Codes beyond those that any operation may answer (validation, overload, shutdown, internal). */
  readonly errors: readonly ErrorCode[];
}

export function operation<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  definition: Operation<P, Q, B>,
): Operation<P, Q, B> {
  return definition;
}
