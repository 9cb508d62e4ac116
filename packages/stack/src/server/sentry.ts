import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '@memplane/testkit/ports';
import { DAPRD_VERSION, sentryBinary } from '../build/go.ts';
import { checkHttp } from './http-check.ts';
import type { ServerPlan } from './plan.ts';
import { ServerProcess } from './process.ts';

export interface SentryOptions {
  readonly dir: string;
  readonly port?: number;
  readonly healthPort?: number;
  readonly metricsPort?: number;
}

export interface SentryPlan extends ServerPlan {
  readonly address: string;
  /** The root certificate, in PEM; there once it has started. */
  readonly trustAnchors: () => string;
}

/** The certificate that sidecars trust. */
const ROOT = 'ca.crt';
const SETTINGS = `apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: sentry
spec:
  mtls:
    enabled: true
    workloadCertTTL: 24h
    allowedClockSkew: 15m
`;

/**
 * Dapr's certificate authority. A sidecar knows who calls by the caller's certificate alone: without
 * one, access control has nothing to go by. On one machine it believes the id that a process gives
 * itself; on Kubernetes it asks the cluster.
 */
export async function sentryPlan(options: SentryOptions): Promise<SentryPlan> {
  const command = await sentryBinary();
  const free = await freePorts(3);
  const port = options.port ?? free[0] ?? 0;
  const healthPort = options.healthPort ?? free[1] ?? 0;
  const metricsPort = options.metricsPort ?? free[2] ?? 0;
  const { dir } = options;
  const credentials = join(dir, 'data');
  const argsWith = (folder: string) => [
    ...['--port', String(port), '--listen-address', '127.0.0.1'],
    ...['--healthz-port', String(healthPort), '--healthz-listen-address', '127.0.0.1'],
    ...['--metrics-port', String(metricsPort), '--metrics-listen-address', '127.0.0.1'],
    ...['--issuer-credentials', folder, '--trust-domain', 'memplane'],
    ...['--config', join(dir, 'sentry.yaml'), '--log-level', 'warn'],
  ];
  const server: ServerPlan = {
    name: 'sentry',
    version: DAPRD_VERSION,
    command,
    args: argsWith(credentials),
    cwd: dir,
    env: { NAMESPACE: 'default' },
    ports: [port, healthPort, metricsPort],
    logFile: join(dir, 'sentry.log'),
    prepare: async () => {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      writeFileSync(join(dir, 'sentry.yaml'), SETTINGS);
      if (!existsSync(join(credentials, ROOT)))
        await makeCredentials(server, credentials, argsWith);
    },
    check: () => checkHttp(`http://127.0.0.1:${healthPort}/healthz`),
    readyTimeoutMs: 30_000,
    stopTimeoutMs: 10_000,
  };
  return {
    ...server,
    address: `127.0.0.1:${port}`,
    trustAnchors: () => readFileSync(join(credentials, ROOT), 'utf8'),
  };
}

/**
 * Makes the authority's own certificates in a run before the first. What it writes itself it takes
 * for a change from outside: for some seconds it would load anew every two, and refuse for a moment
 * each time. A sidecar that starts in such a moment ends.
 */
async function makeCredentials(
  server: ServerPlan,
  credentials: string,
  argsWith: (folder: string) => string[],
): Promise<void> {
  const making = `${credentials}.making`;
  rmSync(making, { recursive: true, force: true });
  mkdirSync(making, { mode: 0o700 });
  const maker = await ServerProcess.start({
    ...server,
    args: argsWith(making),
    prepare: async () => {},
  });
  await maker.kill();
  renameSync(making, credentials);
}
