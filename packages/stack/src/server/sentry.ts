import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '@memplane/testkit/ports';
import { DAPRD_VERSION, sentryBinary } from '../build/go.ts';
import { checkHttp } from './http-check.ts';
import type { ServerPlan } from './plan.ts';

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
  return {
    name: 'sentry',
    version: DAPRD_VERSION,
    command,
    args: [
      ...['--port', String(port), '--listen-address', '127.0.0.1'],
      ...['--healthz-port', String(healthPort), '--healthz-listen-address', '127.0.0.1'],
      ...['--metrics-port', String(metricsPort), '--metrics-listen-address', '127.0.0.1'],
      ...['--issuer-credentials', credentials, '--trust-domain', 'memplane'],
      ...['--config', join(dir, 'sentry.yaml'), '--log-level', 'warn'],
    ],
    cwd: dir,
    env: { NAMESPACE: 'default' },
    ports: [port, healthPort, metricsPort],
    logFile: join(dir, 'sentry.log'),
    prepare: async () => {
      mkdirSync(credentials, { recursive: true, mode: 0o700 });
      writeFileSync(join(dir, 'sentry.yaml'), SETTINGS);
    },
    check: () => checkHttp(`http://127.0.0.1:${healthPort}/healthz`),
    readyTimeoutMs: 30_000,
    stopTimeoutMs: 10_000,
    address: `127.0.0.1:${port}`,
    trustAnchors: () => readFileSync(join(credentials, 'ca.crt'), 'utf8'),
  };
}
