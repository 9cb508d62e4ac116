import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { operation } from '@memplane/contracts';
import { z } from 'zod';
import { type HttpOptions, HttpServer } from '../http-server.ts';
import { createLogger } from '../logger.ts';
import { ok, type Route, type RouteRequest, route } from '../route.ts';
import { createTelemetry } from '../telemetry.ts';

export function sha256Of(token: string): string {
  return createHash('sha256').update(token).digest('hex');
}

/** A file of tenants in a folder that goes with the test. */
export function tenantsFile(t: TestContext, content: unknown): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'memplane-tenants-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = path.join(dir, 'tenants.yaml');
  writeFileSync(file, JSON.stringify(content));
  return file;
}

type Handle = (request: RouteRequest<unknown, unknown, unknown>) => Promise<unknown> | unknown;

/** `GET /v1/<role>`: says for whom it was called. */
export function sayingRoute(
  role: 'reader' | 'operator' | 'plane' | undefined,
  more?: Handle,
): Route {
  const saying = operation({
    id: `say${role}`,
    method: 'get',
    path: `/v1/${role ?? 'nobody'}`,
    summary: 'Says whose call it is.',
    ...(role === undefined ? {} : { role }),
    responses: { 200: { description: 'The tenant.', schema: z.unknown() } },
    errors: [],
  });
  return route(saying, async (request) => {
    await more?.(request);
    return ok({ tenant: request.tenant });
  });
}

/** A server with those routes, and how to call it. */
export async function startServer(
  t: TestContext,
  options: Partial<HttpOptions>,
): Promise<(path: string, headers?: Record<string, string>) => Promise<Reply>> {
  const telemetry = await createTelemetry({
    serviceName: 'test',
    version: '0',
    otlpEndpoint: undefined,
    flushTimeoutMs: 100,
  });
  const server = new HttpServer({
    name: 'test',
    version: '0',
    description: 'a test',
    host: '127.0.0.1',
    port: 0,
    routes: [],
    telemetry,
    logger: createLogger('test', 'silent'),
    token: undefined,
    inflight_requests_max: 100,
    connections_max: 100,
    drainTimeoutMs: 1_000,
    readiness: () => ({ ready: true, secret: 'of all' }),
    ...options,
  });
  const port = await server.listen();
  t.after(async () => {
    await server.stop();
    await telemetry.stop();
  });
  return async (where, headers = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}${where}`, { headers });
    const text = await response.text();
    const body = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : { text };
    return { status: response.status, body };
  };
}

export interface Reply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}
