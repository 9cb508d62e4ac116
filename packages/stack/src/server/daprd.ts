import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePorts } from '@memplane/testkit/ports';
import { DAPRD_VERSION, daprdBinary } from '../build/go.ts';
import { checkHttp } from './http-check.ts';
import type { ServerPlan } from './plan.ts';

const repository = fileURLToPath(new URL('../../../../', import.meta.url));

export interface DaprdOptions {
  readonly dir: string;
  readonly appId: string;
  /** Unique in its stack; the app id when there is one instance. */
  readonly name?: string;
  /** The application's own port; none for a sidecar that only calls. */
  readonly appPort?: number;
  /** Where the application is; 127.0.0.1 unless said otherwise. */
  readonly appAddress?: string | undefined;
  readonly httpPort?: number;
  readonly grpcPort?: number;
  readonly internalPort?: number;
  readonly metricsPort?: number;
  /** Asked of whoever calls the sidecar. */
  readonly apiToken: string;
  /** Sent by the sidecar to its application. */
  readonly appToken?: string;
  readonly sentry: { readonly address: string; readonly trustAnchors: () => string };
  readonly servers: {
    readonly kafkaBrokers: readonly string[];
    readonly redisPort: number;
    /** Of every member. */
    readonly etcdPorts: readonly number[];
    /** JSON: name → secret. */
    readonly secretsFile: string;
    /** Where sidecars find each other, shared by all of a stack. */
    readonly namesFile: string;
  };
  /** Resources beside those of `components/` and `dapr/`, e.g. a test's subscriptions. */
  readonly resources?: readonly string[];
  readonly traceSamplingRate?: number;
  /** Where spans are sent (OTLP over HTTP), e.g. `http://127.0.0.1:4318`. */
  readonly otlpEndpoint?: string;
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error';
  readonly env?: Readonly<Record<string, string>>;
}

export interface DaprdPlan extends ServerPlan {
  readonly httpPort: number;
  readonly grpcPort: number;
}

/** A sidecar with the project's own components, policies and configuration for its app id. */
export async function daprdPlan(options: DaprdOptions): Promise<DaprdPlan> {
  const command = await daprdBinary();
  const free = await freePorts(4);
  const httpPort = options.httpPort ?? free[0] ?? 0;
  const grpcPort = options.grpcPort ?? free[1] ?? 0;
  const internalPort = options.internalPort ?? free[2] ?? 0;
  const metricsPort = options.metricsPort ?? free[3] ?? 0;
  const { dir, appId, appPort } = options;
  const configs = ['common', 'local', appId].map((name) =>
    join(repository, 'dapr', 'config', `${name}.yaml`),
  );
  const resources = [
    ...[join(repository, 'components'), join(repository, 'dapr', 'resources')],
    ...(options.resources ?? []),
  ];
  return {
    name: options.name ?? `${appId}-dapr`,
    version: DAPRD_VERSION,
    tier: 'sidecar',
    command,
    args: [
      ...['--app-id', appId, '--mode', 'standalone', '--log-level', options.logLevel ?? 'info'],
      ...(appPort === undefined ? [] : appArgs(appPort, options.appAddress)),
      ...['--dapr-http-port', String(httpPort), '--dapr-grpc-port', String(grpcPort)],
      ...['--dapr-listen-addresses', '127.0.0.1'],
      ...['--dapr-internal-grpc-port', String(internalPort)],
      ...['--dapr-internal-grpc-listen-address', '127.0.0.1'],
      ...['--metrics-port', String(metricsPort), '--metrics-listen-address', '127.0.0.1'],
      ...['--max-body-size', '8Mi', '--dapr-graceful-shutdown-seconds', '5'],
      ...['--enable-mtls', '--sentry-address', options.sentry.address],
      ...['--control-plane-trust-domain', 'memplane', '--control-plane-namespace', 'default'],
      ...configs.flatMap((file) => ['--config', file]),
      ...resources.flatMap((folder) => ['--resources-path', folder]),
    ],
    cwd: dir,
    // Tokens go by the environment: `ps` shows a command line to all.
    get env() {
      return daprdEnv(options);
    },
    ports: [httpPort, grpcPort, internalPort, metricsPort],
    logFile: join(dir, `${options.name ?? `${appId}-dapr`}.log`),
    prepare: async () => {
      mkdirSync(dir, { recursive: true });
    },
    check: () =>
      checkHttp(`http://127.0.0.1:${httpPort}/v1.0/healthz`, {
        'dapr-api-token': options.apiToken,
      }),
    readyTimeoutMs: 90_000,
    stopTimeoutMs: 15_000,
    httpPort,
    grpcPort,
  };
}

/**
 * A sidecar that knows that its application is gone stops taking messages for it. Otherwise it would
 * go on, and what it could not deliver would end among the dead letters, while another instance
 * could have taken it.
 */
function appArgs(appPort: number, appAddress = '127.0.0.1'): string[] {
  return [
    ...['--app-port', String(appPort), '--app-protocol', 'http'],
    ...['--app-channel-address', appAddress],
    ...['--enable-app-health-check', '--app-health-check-path', '/healthz'],
    ...['--app-health-probe-interval', '1', '--app-health-probe-timeout', '900'],
    ...['--app-health-threshold', '4'],
  ];
}

/** Read at each start: the certificate authority's root is there only once that has started. */
function daprdEnv(options: DaprdOptions): Record<string, string> {
  const { servers } = options;
  return {
    NAMESPACE: 'default',
    DAPR_API_TOKEN: options.apiToken,
    ...(options.appToken === undefined ? {} : { APP_API_TOKEN: options.appToken }),
    DAPR_TRUST_ANCHORS: options.sentry.trustAnchors(),
    MEMPLANE_KAFKA_BROKERS: servers.kafkaBrokers.join(','),
    MEMPLANE_REDIS_ADDRESS: `127.0.0.1:${servers.redisPort}`,
    MEMPLANE_ETCD_ENDPOINTS: servers.etcdPorts.map((port) => `127.0.0.1:${port}`).join(','),
    MEMPLANE_SECRETS_FILE: servers.secretsFile,
    MEMPLANE_NAMES_FILE: servers.namesFile,
    MEMPLANE_TRACE_SAMPLING_RATE: String(options.traceSamplingRate ?? 1),
    ...(options.otlpEndpoint === undefined
      ? {}
      : {
          OTEL_EXPORTER_OTLP_ENDPOINT: options.otlpEndpoint,
          OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
          OTEL_EXPORTER_OTLP_INSECURE: 'true',
        }),
    ...options.env,
  };
}
