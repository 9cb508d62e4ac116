import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Meter } from '@opentelemetry/api';
import type { Identity } from '../identity/identity.ts';
import type { Logger } from '../logger.ts';
import { toMemplaneError } from '../problem.ts';
import type { Route } from '../route.ts';
import { type AuditSink, AuditTrail } from './audit-trail.ts';
import { targetOf } from './call-record.ts';
import type { AuditSettings } from './settings.ts';

export interface AuditedServerOptions extends Partial<AuditSettings> {
  readonly name: string;
  readonly routes: readonly Route[];
  readonly tenantsFile?: string | undefined;
  readonly auditSink?: AuditSink | undefined;
  readonly logger: Logger;
  readonly telemetry: { readonly meter: Meter };
}

/** What a request was found to be about, after its reading. */
export interface ReadParts {
  readonly params: unknown;
  readonly query: unknown;
  readonly body: unknown;
}

const SPOOL_BYTES_DEFAULT = 64 * 1024 * 1024;

/** Records the calls of an HTTP server. */
export class AuditedServer {
  readonly #options: AuditedServerOptions;
  readonly #callerOf: (request: IncomingMessage) => Identity | undefined;
  #trail: AuditTrail | undefined;
  #finders: readonly Finder[] | undefined;

  constructor(
    options: AuditedServerOptions,
    callerOf: (request: IncomingMessage) => Identity | undefined,
  ) {
    this.#options = options;
    this.#callerOf = callerOf;
  }

  get trail(): AuditTrail | undefined {
    return this.#trail;
  }

  /** @param port that the server listens on @throws ConfigError where nothing can be recorded */
  open(port: number): void {
    const { name, audit = 'off', auditDir, auditSink: sink, tenantsFile } = this.#options;
    if (tenantsFile === undefined || sink === undefined || audit === 'off') return;
    const { logger, telemetry, audit_reads_every = 1 } = this.#options;
    this.#trail = new AuditTrail({
      service: name,
      level: audit,
      reads_every: audit_reads_every,
      dir: path.join(auditDir ?? path.join(tmpdir(), 'memplane-audit'), `${name}-${port}`),
      spool_bytes_max: this.#options.audit_spool_bytes_max ?? SPOOL_BYTES_DEFAULT,
      sink,
      now: Date.now,
      logger,
      meter: telemetry.meter,
    });
    this.#trail.start();
  }

  async close(): Promise<void> {
    await this.#trail?.stop();
  }

  answered(route: Route, request: IncomingMessage, parts: ReadParts | undefined): void {
    this.#record('ok', route, request, parts);
  }

  /** @param route undefined where the call was refused before anyone looked for it */
  failed(
    error: unknown,
    route: Route | undefined,
    request: IncomingMessage & { readonly params?: unknown; readonly query?: unknown },
    parts: ReadParts | undefined = undefined,
  ): void {
    if (this.#trail === undefined) return;
    this.#record(toMemplaneError(error).code, route ?? this.#find(request), request, parts);
  }

  #record(
    outcome: string,
    route: Route | undefined,
    request: IncomingMessage & { readonly params?: unknown; readonly query?: unknown },
    parts: ReadParts | undefined,
  ): void {
    // The sidecar's deliveries are nobody's calls.
    if (this.#trail === undefined || (route?.isForSidecar && outcome !== 'forbidden')) return;
    const { params, query } = parts ?? request;
    const body = parts?.body;
    const { operation } = route ?? {};
    const { traceparent } = request.headers;
    this.#trail.record(
      {
        operation: operation?.id ?? 'unknown',
        role: operation?.role,
        isRead: operation?.method === 'get' || operation?.role === 'reader',
        identity: this.#callerOf(request),
        target: route?.targetOf?.(body) ?? targetOf(params, query, body),
        traceparent: typeof traceparent === 'string' ? traceparent : undefined,
        address: request.socket.remoteAddress,
      },
      outcome,
    );
  }

  /** The operation of a call that nobody has looked for yet: its caller was refused. */
  #find({ method, url = '' }: IncomingMessage): Route | undefined {
    this.#finders ??= this.#options.routes.map(finderOf);
    const [where = ''] = url.split('?', 1);
    const asked = method?.toLowerCase();
    return this.#finders.find(
      ({ route, pattern }) => route.operation.method === asked && pattern.test(where),
    )?.route;
  }
}

interface Finder {
  readonly route: Route;
  readonly pattern: RegExp;
}

function finderOf(route: Route): Finder {
  const escaped = route.operation.path.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&');
  return { route, pattern: new RegExp(`^${escaped.replaceAll(/\{\w+\}/g, '[^/]+')}$`) };
}
