import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { type Duplex, Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { LIMITS, MemplaneError } from '@memplane/contracts';
import { type Histogram, SpanKind } from '@opentelemetry/api';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { type GateOptions, isRefusal, type Permit, type Refusal } from './admission/gate.ts';
import {
  RequestAdmission,
  type RouteAdmission,
  refusalError,
} from './admission/request-admission.ts';
import type { AuditSink, AuditTrail } from './audit/audit-trail.ts';
import { AuditedServer } from './audit/audited-server.ts';
import type { AuditSettings } from './audit/settings.ts';
import { Access } from './identity/access.ts';
import { ANYONE, type Identity } from './identity/identity.ts';
import { TenantShares } from './identity/tenant-shares.ts';
import { BodyReader, parseJson } from './json-body.ts';
import type { Logger } from './logger.ts';
import { openApiDocument } from './openapi.ts';
import { PROBLEM_MEDIA_TYPE, toMemplaneError, toProblem } from './problem.ts';
import type { BodyContext, Route, RouteReply, RouteRequest } from './route.ts';
import { inSpan, type Telemetry, traceFrom } from './telemetry.ts';
import { validate } from './validate.ts';

// An `import` of its values would load, for names that nobody uses here, all of Node's HTTP client too:
// a tenth of what a thread needs to start.
const { createServer, STATUS_CODES } = process.getBuiltinModule('node:http');

export interface HttpOptions extends Partial<AuditSettings> {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly host: string;
  readonly port: number;
  readonly routes: readonly Route[];
  readonly telemetry: Telemetry;
  readonly logger: Logger;
  /** Bearer token that every call but the probes needs. */
  readonly token: string | undefined;
  /**
   * What the service's own sidecar proves itself by (header `dapr-api-token`). Where there is one,
   * only calls by the sidecar, or with the bearer token, are served; where there is none, no call
   * is held for one by a sidecar.
   */
  readonly appToken?: string | undefined;
  /** Who the callers are, where they are told apart: see `AccessOptions`. */
  readonly tenantsFile?: string | undefined;
  readonly planeToken?: string | undefined;
  /** Where the audit goes; without it, or without tenants, nothing is recorded. */
  readonly auditSink?: AuditSink | undefined;
  /** Requests under way at once, those that wait for others too; more are answered 429. */
  readonly inflight_requests_max: number;
  /** Bytes of bodies being held at once; more are answered 429. Default: 64 MiB. */
  readonly inflight_body_bytes_max?: number;
  readonly connections_max: number;
  /** How long `drain` waits for requests under way. */
  readonly drainTimeoutMs: number;
  /** How many requests are let in at once, found out by how long they take; default: all. */
  readonly admission?: GateOptions | undefined;
  /** What `/readyz` tells beside `ready`; not ready when `ready` is false. */
  readonly readiness: () => { ready: boolean; [detail: string]: unknown };
}

const BODY_BYTES_DEFAULT = 64 * 1024 * 1024;

/** Made once: each request ends, and the stack of an error costs more than all else about that. */
const REQUEST_ENDED = new MemplaneError('shutting_down', 'The request ended.');

/** Express, with the plane's problems, validation, limits, traces, metrics, probes and draining. */
export class HttpServer {
  readonly #options: HttpOptions;
  readonly #server: Server;
  readonly #duration: Histogram;
  /** Who calls; other ports of the service ask it too. */
  readonly access: Access;
  readonly #callers = new WeakMap<IncomingMessage, Identity>();
  readonly #shares: TenantShares;
  readonly #audited: AuditedServer;
  readonly #admission: RequestAdmission | undefined;
  readonly #ending = new AbortController();
  readonly #bodies: BodyReader;
  #inflight = 0;
  #draining = false;

  constructor(options: HttpOptions) {
    this.#options = options;
    this.#bodies = new BodyReader(
      LIMITS.request_bytes_max,
      options.inflight_body_bytes_max ?? BODY_BYTES_DEFAULT,
    );
    this.access = new Access(options);
    this.#shares = new TenantShares(() => this.access.tenantShareOf(options.inflight_requests_max));
    this.#audited = new AuditedServer(options, (request) => this.#callers.get(request));
    const { admission, telemetry } = options;
    this.#admission = admission && new RequestAdmission(admission, telemetry.meter);
    this.#duration = options.telemetry.meter.createHistogram('http.server.request.duration', {
      unit: 's',
      advice: {
        explicitBucketBoundaries: [
          0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
        ],
      },
    });
    this.#server = createServer(
      { maxHeaderSize: 16 * 1024, requestTimeout: 60_000, headersTimeout: 20_000 },
      this.#app(),
    );
    this.#server.on('clientError', refuseUnreadable);
    this.#server.maxConnections = options.connections_max;
    this.#server.keepAliveTimeout = 65_000;
  }

  /**
   * Resolves once it listens.
   * @throws Error with words when the port is taken; ConfigError for tenants that can not be read
   */
  async listen(): Promise<number> {
    await this.access.open();
    const { host, port, name } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (cause: NodeJS.ErrnoException) => {
        const why =
          cause.code === 'EADDRINUSE'
            ? `${name}: port ${port} on ${host} is in use; is another plane running?`
            : `${name}: cannot listen on ${host}:${port}: ${cause.message}`;
        reject(new Error(why, { cause }));
      });
      this.#server.listen({ host, port, exclusive: true }, resolve);
    });
    const address = this.#server.address();
    const taken = typeof address === 'object' && address !== null ? address.port : port;
    // The port is this process's alone now, and so is the folder that is named by it.
    this.#audited.open(taken);
    return taken;
  }

  /** What other ports of the service record too; undefined where nothing is, or before `listen`. */
  get audit(): AuditTrail | undefined {
    return this.#audited.trail;
  }

  /** What lets in what comes by the service's other ports too; undefined where all are let in. */
  get admission(): RequestAdmission | undefined {
    return this.#admission;
  }

  /** Refuses new requests and waits for those under way, at most `drainTimeoutMs`. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#server.closeIdleConnections();
    const deadline = performance.now() + this.#options.drainTimeoutMs;
    this.#ending.abort(new MemplaneError('shutting_down', 'The service is ending.'));
    const isBusy = () => this.#inflight > 0 || (this.#admission?.waiting ?? 0) > 0;
    while (isBusy() && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async stop(): Promise<void> {
    this.#draining = true;
    this.#admission?.stop();
    this.access.close();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    await this.#audited.close();
  }

  #app(): Express {
    const { routes, name, version, description, telemetry, readiness } = this.#options;
    const app = express();
    app.disable('x-powered-by');
    app.set('etag', false);
    app.set('query parser', 'simple');
    app.set('case sensitive routing', true);
    app.set('strict routing', true);
    app.use(joinEncodedEntity);
    app.get('/healthz', (_request, response) => void response.json({ status: 'alive', name }));
    app.get('/readyz', async (request, response) => {
      const state = this.#draining ? { ready: false, draining: true } : readiness();
      const { ready } = state;
      // How much is under way says what others do.
      const isShown = await this.access.seesPlane(request.headers);
      const admission = this.#admission?.describe();
      const shown = admission === undefined ? state : { ...state, admission };
      response.status(ready ? 200 : 503).json(isShown ? shown : { ready });
    });
    app.use((request, _response, next) => {
      const found = this.access.identify(request.headers);
      if (!(found instanceof Promise)) {
        if (found !== ANYONE) this.#callers.set(request, found);
        next();
        return;
      }
      found.then((identity) => {
        this.#callers.set(request, identity);
        next();
      }, next);
    });
    app.get('/metrics', async (request, response) => {
      this.access.authorize(this.#callerOf(request), 'operator');
      response.type('text/plain; version=0.0.4').send(await telemetry.metricsText());
    });
    let document: string | undefined;
    app.get('/openapi.json', (_request, response) => {
      document ??= JSON.stringify(
        openApiDocument(
          routes.filter((route) => !route.isForSidecar).map((route) => route.operation),
          { title: `Memplane ${name}`, version, description, secured: this.access.isSecured },
        ),
      );
      response.type('application/json').send(document);
    });
    for (const route of routes) {
      const admission = this.#admission?.of(route);
      app[route.operation.method](expressPath(route.operation.path), (request, response) =>
        this.#serve(route, admission, request, response),
      );
    }
    this.#refuseOtherMethods(app);
    app.use(() => {
      throw new MemplaneError('not_found', 'There is no such path; see /openapi.json.', {
        field: 'path',
      });
    });
    app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
      this.#audited.failed(error, undefined, request);
      this.#fail(error, request, response);
    });
    return app;
  }

  #refuseOtherMethods(app: Express): void {
    const allowed = new Map<string, string[]>();
    for (const { operation } of this.#options.routes) {
      const path = expressPath(operation.path);
      allowed.set(path, [...(allowed.get(path) ?? []), operation.method.toUpperCase()]);
    }
    for (const [path, methods] of allowed) {
      app.all(path, (_request, response) => {
        response.setHeader('allow', methods.join(', '));
        throw new MemplaneError('method_not_allowed', `Allowed here: ${methods.join(', ')}.`, {
          field: 'method',
        });
      });
    }
  }

  #callerOf(request: IncomingMessage): Identity {
    if (!this.access.hasTenants) return ANYONE;
    const identity = this.#callers.get(request);
    if (identity === undefined) throw new MemplaneError('unauthorized', 'Nobody knows who calls.');
    return identity;
  }

  async #serve(
    route: Route,
    admission: RouteAdmission | undefined,
    request: Request,
    response: Response,
  ): Promise<void> {
    const started = performance.now();
    const { operation } = route;
    let call: Call | undefined;
    try {
      this.#refuseLate();
      const identity = this.#callerOf(request);
      const tenant = this.access.tenantOf(identity, request.headers);
      const leaveShare = this.access.hasTenants ? this.#shares.enter(tenant) : undefined;
      try {
        const entered = admission && this.#enter(admission, request, { identity, tenant });
        call = { route, identity, tenant, request, response };
        const permit = entered instanceof Promise ? await entered : entered;
        // Not thrown: under overload most calls end here.
        if (permit && isRefusal(permit)) this.#failCall(refusalError(permit), call);
        else await this.#handle(call, permit);
      } finally {
        leaveShare?.();
      }
    } catch (error) {
      this.#failCall(error, { ...call, route, request, response });
    } finally {
      this.#duration.record((performance.now() - started) / 1000, {
        'http.request.method': request.method,
        'http.route': operation.path,
        'http.response.status_code': response.statusCode,
      });
    }
  }

  #enter(
    admission: RouteAdmission,
    request: Request,
    { identity, tenant }: { readonly identity: Identity; readonly tenant: string },
  ): Permit | Refusal | undefined | Promise<Permit | Refusal> {
    const agent = this.#agentOf(identity, request);
    return this.#admission?.enter(admission, request, { tenant, agent });
  }

  /** Shares are by whatever tells callers apart. */
  #agentOf(identity: Identity, request: Request): string {
    const appId = singleHeader(request, 'dapr-caller-app-id');
    if (appId !== undefined && this.access.isBySidecar(request.headers)) return appId;
    if (identity !== ANYONE) return identity.subject;
    return request.socket.remoteAddress ?? '';
  }

  async #handle(call: Call, permit: Permit | undefined): Promise<void> {
    const { route, identity, tenant, request, response } = call;
    const { operation } = route;
    let isTimed = false;
    try {
      // Who went away while it waited needs no answer.
      if (request.socket.destroyed) return;
      this.#expectRoom();
      this.#inflight++;
      try {
        await inSpan(
          this.#options.telemetry.tracer,
          `${operation.method.toUpperCase()} ${operation.path}`,
          {
            parent: traceFrom(singleHeader(request, 'traceparent')),
            kind: SpanKind.SERVER,
            attributes: { 'http.route': operation.path },
          },
          async (trace) => {
            const bySidecar = this.access.isBySidecar(request.headers);
            if (!route.isForSidecar) this.access.authorize(identity, operation.role);
            else if (!bySidecar) {
              throw new MemplaneError('forbidden', 'This is for the sidecar alone.');
            }
            const caller = {
              tenant,
              seesAllTenants: identity.isPlane || !this.access.hasTenants,
              callerAppId: bySidecar ? singleHeader(request, 'dapr-caller-app-id') : undefined,
              trace,
            };
            const parsed = await this.#parse(route, request, caller);
            call.parts = parsed;
            if (operation.waits || mayWait(parsed)) this.#letNextIn(permit);
            const reply = await route.handle({
              ...parsed,
              ...caller,
              headers: request.headers,
              signal: this.#signalOf(response),
            });
            if (reply.stream) this.#letNextIn(permit);
            await send(reply, response);
          },
        );
        isTimed = true;
      } finally {
        this.#inflight--;
      }
      this.#audited.answered(route, request, call.parts);
    } finally {
      if (permit) this.#admission?.leave(permit, isTimed);
    }
  }

  /** What waits for others, or sends a stream, needs no place any more. */
  #letNextIn(permit: Permit | undefined): void {
    if (permit) this.#admission?.leave(permit, false);
  }

  #refuseLate(): void {
    if (!this.#draining) return;
    throw new MemplaneError('shutting_down', 'The service is ending.', { retryAfterMs: 1000 });
  }

  #expectRoom(): void {
    const max = this.#options.inflight_requests_max;
    if (this.#inflight >= max) {
      throw new MemplaneError('overloaded', `${max} requests are already under way.`, {
        retryAfterMs: 100,
        extra: { limit: 'inflight_requests_max', max },
      });
    }
  }

  async #parse(route: Route, request: Request, caller: BodyContext): Promise<ParsedRequest> {
    const { operation } = route;
    const params: unknown = operation.params
      ? validate(operation.params, { ...request.params }, 'path')
      : {};
    const query: unknown = operation.query
      ? validate(operation.query, { ...request.query }, 'query')
      : refuseQuery(request);
    if (!operation.body) return { params, query, body: undefined };
    const type = request.headers['content-type'] ?? 'application/json';
    if (!/^application\/([\w.-]+\+)?json *(;|$)/i.test(type)) {
      throw new MemplaneError('unsupported_media_type', 'The body must be application/json.', {
        field: 'content-type',
      });
    }
    const bytes = await this.#bodies.read(request, route.body_bytes_max);
    const body = route.parseBody
      ? await route.parseBody(bytes, caller)
      : validate(operation.body, parseJson(bytes), 'body');
    return { params, query, body };
  }

  #signalOf(response: Response): AbortSignal {
    const gone = new AbortController();
    const abort = () => gone.abort(REQUEST_ENDED);
    response.once('close', abort);
    if (this.#ending.signal.aborted) abort();
    else {
      this.#ending.signal.addEventListener('abort', abort, { once: true });
      response.once('close', () => this.#ending.signal.removeEventListener('abort', abort));
    }
    return gone.signal;
  }

  #failCall(
    cause: unknown,
    { route, request, response, parts }: Pick<Call, 'route' | 'request' | 'response' | 'parts'>,
  ): void {
    this.#audited.failed(cause, route, request, parts);
    this.#fail(cause, request, response);
  }

  #fail(cause: unknown, request: Request, response: Response): void {
    const error = toMemplaneError(cause);
    if (error.code === 'internal') {
      this.#options.logger.error({ err: cause, url: request.url }, 'request failed');
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (error.retryAfterMs !== undefined) {
      response.setHeader('retry-after', String(Math.max(1, Math.ceil(error.retryAfterMs / 1000))));
    }
    const text = JSON.stringify(toProblem(error));
    response.status(error.status).setHeader('content-type', PROBLEM_MEDIA_TYPE);
    response.setHeader('content-length', Buffer.byteLength(text));
    if (request.complete || request.method === 'HEAD') response.end(text);
    else if (error.status === 429 && hasSmallRest(request)) {
      // A new connection would cost more than reading it to its end.
      response.end(text);
      request.resume();
    } else endAfterRest(request, response, text);
  }
}

/** What Node's parser gave up on never becomes a request, but gets a problem all the same. */
function refuseUnreadable(cause: NodeJS.ErrnoException, socket: Duplex): void {
  if (cause.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const error =
    cause.code === 'HPE_HEADER_OVERFLOW'
      ? new MemplaneError('headers_too_large', 'Path and headers may have 16 KiB in all.', {
          field: 'headers',
        })
      : new MemplaneError('invalid_request', 'This is no valid HTTP request.', {
          field: 'request',
        });
  const body = JSON.stringify(toProblem(error));
  const reason = STATUS_CODES[error.status] ?? 'Error';
  socket.end(
    `HTTP/1.1 ${error.status} ${reason}\r\ncontent-type: ${PROBLEM_MEDIA_TYPE}\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

/** A request whose caller is known. */
interface Call {
  readonly route: Route;
  readonly identity: Identity;
  readonly tenant: string;
  readonly request: Request;
  readonly response: Response;
  /** What was read of the request: what it is about. */
  parts?: ParsedRequest;
}

/** Whether a read may have to wait until something has become visible, or for other replicas. */
function mayWait({ query, body }: ParsedRequest): boolean {
  return isWaiting(query) || isWaiting(body);
}

function isWaiting(part: unknown): boolean {
  if (typeof part !== 'object' || part === null) return false;
  const { after, waitMs, consistency, read } = part as Record<string, unknown>;
  return (
    after !== undefined ||
    waitMs !== undefined ||
    consistency !== undefined ||
    (read !== undefined && read !== 'local')
  );
}

type ParsedRequest = Pick<RouteRequest<unknown, unknown, unknown>, 'params' | 'query' | 'body'>;

async function send(reply: RouteReply, response: ServerResponse): Promise<void> {
  response.statusCode = reply.status;
  for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value);
  if (reply.stream) {
    response.setHeader('content-type', reply.mediaType ?? 'application/x-ndjson');
    response.flushHeaders();
    await pipeline(Readable.from(reply.stream, { objectMode: false }), response).catch(() => {});
    return;
  }
  const payload = reply.raw ?? (reply.body === undefined ? undefined : JSON.stringify(reply.body));
  if (payload === undefined) {
    response.end();
    return;
  }
  response.setHeader('content-type', reply.mediaType ?? 'application/json; charset=utf-8');
  response.setHeader('content-length', Buffer.byteLength(payload));
  response.end(payload);
  if (response.req.method === 'HEAD') await finished(response).catch(() => {});
}

/** A rest of a body that is read to its end, so that the connection goes on. */
const SMALL_REST_BYTES_MAX = 64 * 1024;
function hasSmallRest({ headers }: Request): boolean {
  return Number(headers['content-length']) <= SMALL_REST_BYTES_MAX;
}

/** How much of a refused body is read and thrown away, and for how long, before the connection ends. */
const LINGER_BYTES_MAX = 64 * 1024 * 1024;
const LINGER_MS = 2_000;

/**
 * Answers a request whose body was not read to its end. The answer goes out at once and in full;
 * the connection ends afterwards (the rest must not be taken for the next request), but only when
 * the sender has had its say: closing on unread bytes would reset the connection, and the sender
 * would lose the answer.
 */
function endAfterRest(request: Request, response: Response, text: string): void {
  response.setHeader('connection', 'close');
  response.write(text);
  let bytes = 0;
  const end = () => {
    clearTimeout(timer);
    response.end();
  };
  const timer = setTimeout(end, LINGER_MS);
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LINGER_BYTES_MAX) end();
  });
  request.on('end', end).on('close', end).on('error', end);
  request.resume();
}

/** A direct call may write an entity as one segment, `kind%2Fid`; routes see two. */
function joinEncodedEntity(request: IncomingMessage, _response: unknown, next: NextFunction): void {
  const url = request.url ?? '/';
  if (/%2f/i.test(url)) {
    const query = url.indexOf('?');
    const path = query < 0 ? url : url.slice(0, query);
    const joined = path.replace(/^(\/v1\/entities\/[^/]+?)%2f/i, '$1/');
    request.url = query < 0 ? joined : joined + url.slice(query);
  }
  next();
}

function expressPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1');
}

function singleHeader(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function refuseQuery(request: Request): Record<string, never> {
  const [name] = Object.keys(request.query);
  if (name === undefined) return {};
  throw new MemplaneError('invalid_request', 'This operation takes no query parameters.', {
    field: `query.${name}`.slice(0, 300),
  });
}
