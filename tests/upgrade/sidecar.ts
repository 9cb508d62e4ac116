import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkHttp, DAPRD_VERSION, daprdBinary, type ServerPlan } from '@memplane/stack';
import { stringify } from 'yaml';
import type { Rendered, Resource } from '../helm/lib/render.ts';
import { NAMESPACE, root } from '../helm/lib/render.ts';
import type { Servers } from './servers.ts';

/** The ports of a sidecar in a pod. */
const PORTS = { http: 3500, grpc: 50_001, internal: 50_002, metrics: 9_090 };

/** What the injector makes of annotations (`dapr.io/…`) is a flag of the sidecar. */
const FLAGS: Readonly<Record<string, string>> = {
  'app-id': 'app-id',
  'app-port': 'app-port',
  'app-protocol': 'app-protocol',
  'app-health-check-path': 'app-health-check-path',
  'app-health-probe-interval': 'app-health-probe-interval',
  'app-health-probe-timeout': 'app-health-probe-timeout',
  'app-health-threshold': 'app-health-threshold',
  'max-body-size': 'max-body-size',
  'graceful-shutdown-seconds': 'dapr-graceful-shutdown-seconds',
};
/** Of the pod that the injector makes, its secrets and its log: of no flag. */
const OF_THE_POD =
  /^(enabled|config|(api|app)-token-secret|enable-native-sidecar|sidecar-.*|volume-mounts|log-.*|disable-builtin-k8s-secret-store)$/;

export interface SidecarOptions {
  /** Where its log and what it reads are. */
  readonly dir: string;
  readonly name: string;
  readonly address: string;
  readonly annotations: Resource;
  readonly rendered: Rendered;
  /** Another Configuration than the one that the annotations name. */
  readonly configFile?: string;
  readonly servers: Servers;
  readonly namesFile: string;
  readonly token: (secret: string) => string;
  /** Puts addresses of this machine in the place of the cluster's. */
  readonly inPlace: (text: string) => string;
}

export interface SidecarPlan extends ServerPlan {
  readonly endpoint: string;
  readonly appId: string;
}

/** The sidecar that the injector would put into a pod, with what the chart renders for it. */
export async function sidecarPlan(options: SidecarOptions): Promise<SidecarPlan> {
  const { dir, name, address, servers, token } = options;
  const annotations = new Map(
    Object.entries(options.annotations).flatMap(([key, value]) =>
      key.startsWith('dapr.io/') ? [[key.slice('dapr.io/'.length), String(value)] as const] : [],
    ),
  );
  const appId = annotations.get('app-id') ?? '';
  const apiToken = token(annotations.get('api-token-secret') ?? '');
  const appTokenSecret = annotations.get('app-token-secret');
  const files = writeResources(options, annotations.get('config') ?? '');
  const endpoint = `http://${address}:${PORTS.http}`;
  return {
    name: `${name}-dapr`,
    version: DAPRD_VERSION,
    tier: 'sidecar',
    command: await daprdBinary(),
    args: [
      ...flagsOf(annotations),
      ...['--mode', 'standalone', '--log-level', 'info'],
      ...['--app-channel-address', address, '--dapr-listen-addresses', address],
      ...['--dapr-http-port', String(PORTS.http), '--dapr-grpc-port', String(PORTS.grpc)],
      ...['--dapr-internal-grpc-port', String(PORTS.internal)],
      ...['--dapr-internal-grpc-listen-address', address],
      ...['--metrics-port', String(PORTS.metrics), '--metrics-listen-address', address],
      ...['--enable-mtls', '--sentry-address', servers.sentry.address],
      ...['--control-plane-trust-domain', 'memplane', '--control-plane-namespace', 'default'],
      ...['--config', files.config, '--config', join(root, 'dapr/config/local.yaml')],
      ...['--resources-path', files.resources],
    ],
    cwd: dir,
    env: {
      NAMESPACE,
      DAPR_HOST_IP: address,
      DAPR_API_TOKEN: apiToken,
      ...(appTokenSecret === undefined ? {} : { APP_API_TOKEN: token(appTokenSecret) }),
      DAPR_TRUST_ANCHORS: servers.sentry.trustAnchors(),
      MEMPLANE_NAMES_FILE: options.namesFile,
    },
    // At an address of its own.
    ports: [],
    logFile: join(dir, `${name}-dapr.log`),
    prepare: async () => {},
    check: () => checkHttp(`${endpoint}/v1.0/healthz`, { 'dapr-api-token': apiToken }),
    readyTimeoutMs: 300_000,
    stopTimeoutMs: 15_000,
    endpoint,
    appId,
  };
}

function flagsOf(annotations: ReadonlyMap<string, string>): string[] {
  return [...annotations].flatMap(([key, value]) => {
    if (key === 'enable-app-health-check') return value === 'true' ? [`--${key}`] : [];
    const flag = FLAGS[key];
    if (flag !== undefined) return [`--${flag}`, value];
    if (OF_THE_POD.test(key)) return [];
    throw new Error(`nobody knows what dapr.io/${key} does`);
  });
}

/** What a sidecar would get from the operator. It applies the scopes itself. */
function writeResources(options: SidecarOptions, config: string) {
  const { dir, rendered, servers, inPlace } = options;
  const resources = join(dir, 'resources');
  mkdirSync(resources, { recursive: true });
  const written = (path: string, resource: Resource) => {
    const text = stringify(resource).replace('/memplane/secrets/secrets.json', servers.secretsFile);
    writeFileSync(path, inPlace(text));
    return path;
  };
  for (const kind of ['Component', 'Resiliency', 'Subscription']) {
    for (const resource of rendered.all(kind)) {
      written(join(resources, `${kind}-${resource['metadata']!['name']}.yaml`), resource);
    }
  }
  writeClusterSecrets(dir, resources, servers);
  const configFile = options.configFile;
  if (configFile !== undefined) return { resources, config: configFile };
  const own = rendered.get('Configuration', config);
  return { resources, config: written(join(dir, 'config.yaml'), own) };
}

/** The cluster's own secrets, by the name that components know their store by. */
function writeClusterSecrets(dir: string, resources: string, servers: Servers): void {
  const file = join(dir, 'cluster-secrets.json');
  const secrets = { 'memplane-state': { 'redis-password': servers.redisPassword } };
  writeFileSync(file, JSON.stringify(secrets), { mode: 0o600 });
  const store = {
    apiVersion: 'dapr.io/v1alpha1',
    kind: 'Component',
    metadata: { name: 'kubernetes' },
    spec: {
      type: 'secretstores.local.file',
      version: 'v1',
      metadata: [
        { name: 'secretsFile', value: file },
        { name: 'multiValued', value: 'true' },
      ],
    },
  };
  writeFileSync(join(resources, 'cluster-secrets.yaml'), stringify(store));
}
