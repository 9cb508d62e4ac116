import type { IncomingHttpHeaders } from 'node:http';
import { MemplaneError, type Operation } from '@memplane/contracts';
import type { Context as TraceContext } from '@opentelemetry/api';
import type { z } from 'zod';

/** What a handler gets: everything already validated. */
export interface RouteRequest<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly headers: IncomingHttpHeaders;
  readonly tenant: string;
  /** Whether it may be given what all tenants have: a service of the plane, or where there are none. */
  readonly seesAllTenants: boolean;
  /** The caller's Dapr app id, where the service's own sidecar tells it and has proven itself. */
  readonly callerAppId: string | undefined;
  /** Aborted when the caller goes away or the service ends. */
  readonly signal: AbortSignal;
  /** The trace that the request belongs to. */
  readonly trace: TraceContext;
}

/** What a handler answers. Exactly one of `body`, `raw`, `stream`, or none for an empty answer. */
export interface RouteReply {
  readonly status: number;
  readonly body?: unknown;
  /** A finished JSON text. */
  readonly raw?: string | Uint8Array;
  /** Written as it comes, with back-pressure; ended when the caller goes away. */
  readonly stream?: AsyncIterable<string | Uint8Array>;
  /** For `stream` and `raw`; JSON by default. */
  readonly mediaType?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Who sent a body. */
export type BodyContext = Pick<
  RouteRequest<unknown, unknown, unknown>,
  'tenant' | 'seesAllTenants' | 'callerAppId' | 'trace'
>;

export interface Route {
  readonly operation: Operation;
  /**
   * For the service's own sidecar alone, which proves itself by the application's token: deliveries
   * and timers. Not part of the API.
   */
  readonly isForSidecar?: boolean;
  /** Of a body, where more than a request's limit is needed. */
  readonly body_bytes_max?: number;
  /**
   * Parses and checks the bytes of a body in place of `parseJson` and the operation's schema, where
   * part by part, or in another thread, is better: it must use the schemas that the operation
   * documents. What it returns is the body.
   */
  readonly parseBody?: (bytes: Buffer, caller: BodyContext) => unknown;
  /** For the audit: what a body is about, where that is not its `entity`. */
  readonly targetOf?: (body: unknown) => string | undefined;
  readonly handle: (
    request: RouteRequest<unknown, unknown, unknown>,
  ) => Promise<RouteReply> | RouteReply;
}

/** Binds a handler to an operation of the contracts. */
export function route<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  operation: Operation<P, Q, B>,
  handle: (
    request: RouteRequest<z.output<P>, z.output<Q>, z.output<B>>,
  ) => Promise<RouteReply> | RouteReply,
): Route {
  return { operation, handle: handle as Route['handle'] };
}

/**
 * Whom a call is for that names a tenant in its body, as a service of the plane may.
 * @throws MemplaneError `forbidden` for another tenant than the caller's
 */
export function tenantNamed(
  {
    tenant,
    seesAllTenants,
  }: Pick<RouteRequest<unknown, unknown, unknown>, 'tenant' | 'seesAllTenants'>,
  named: string | undefined,
): string {
  if (named === undefined || named === tenant) return tenant;
  if (seesAllTenants) return named;
  throw new MemplaneError('forbidden', 'A tenant comes with the token, not in a body.', {
    field: 'body.tenant',
  });
}

/** `200` with a JSON body. */
export function ok(body: unknown): RouteReply {
  return { status: 200, body };
}
