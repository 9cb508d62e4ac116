import { join } from 'node:path';
import { SERVICES, type ServiceName } from '@memplane/contracts';
import { apartNet, apartPlan } from '../server/apart.ts';
import { type DaprdOptions, type DaprdPlan, daprdPlan } from '../server/daprd.ts';
import { type ServicePlan, servicePlan } from '../server/service.ts';
import type { SecretStore, StackSecrets } from './secrets.ts';
import { INSTANCES_PER_SERVICE, PORTS, PORTS_PER_SIDECAR } from './stack-ports.ts';

/** What all sidecars of a stack share. */
export type Shared = Pick<DaprdOptions, 'dir' | 'sentry' | 'servers'>;

export interface ServicePlansOptions {
  readonly dir: string;
  readonly portBase: number;
  readonly shared: Shared;
  readonly tokens: StackSecrets;
  readonly secrets: SecretStore;
  readonly operatorToken: string;
  /** Of the replicas of crdt-sync. */
  readonly gossipKey: string;
  /** One for each of them. */
  readonly replicaRedisPorts: readonly number[];
  readonly milvusPort: number;
  readonly s3Port: number;
  readonly otlpEndpoint: string | undefined;
  readonly kafkaPort: number;
  readonly zonesPath: string | undefined;
  /** Instances in a network namespace of their own. */
  readonly apart: readonly string[];
}

/** One instance of a service and the sidecar that it alone talks through. */
export interface InstancePlans {
  readonly app: ServicePlan;
  readonly sidecar: DaprdPlan;
}

/** Two instances of each service, each beside its own sidecar. */
export async function servicePlans(options: ServicePlansOptions): Promise<InstancePlans[]> {
  const names = Object.keys(SERVICES) as ServiceName[];
  const plans: InstancePlans[] = [];
  for (const service of names) {
    for (let instance = 0; instance < INSTANCES_PER_SERVICE; instance++) {
      plans.push(await instancePlans(options, service, instance, plans.length));
    }
  }
  return plans;
}

async function instancePlans(
  options: ServicePlansOptions,
  service: ServiceName,
  instance: number,
  position: number,
): Promise<InstancePlans> {
  const { portBase, shared, tokens, otlpEndpoint } = options;
  const name = `${service}-${instance + 1}`;
  const dir = join(options.dir, 'services', name);
  const port = portBase + PORTS.services + position;
  const net = apartNet(portBase, position, options.kafkaPort);
  const isApart = options.apart.includes(name);
  const sidecar = await daprdPlan({
    ...shared,
    ...sidecarPorts(portBase, position + 1),
    name: `${name}-dapr`,
    appId: service,
    appPort: port,
    appAddress: isApart ? net.address : undefined,
    apiToken: tokens.apiTokens[service],
    appToken: tokens.appTokens[service],
    ...(otlpEndpoint === undefined ? {} : { otlpEndpoint }),
  });
  const { morePorts, env } = particulars(service, options, dir, instance);
  const app = servicePlan({
    ...{ service, name, dir, port, morePorts },
    env: {
      DAPR_HTTP_PORT: String(sidecar.httpPort),
      // Whoever starts the stack may have that of the agent's sidecar in the environment.
      DAPR_HTTP_ENDPOINT: `http://127.0.0.1:${sidecar.httpPort}`,
      DAPR_API_TOKEN: tokens.apiTokens[service],
      APP_API_TOKEN: tokens.appTokens[service],
      // Who comes past the sidecar, by RESP too, comes only with this.
      MEMPLANE_TOKEN: options.operatorToken,
      ...(otlpEndpoint === undefined ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: otlpEndpoint }),
      ...env,
    },
  });
  return { app: isApart ? apartPlan(app, net) : app, sidecar };
}

interface Particulars {
  readonly morePorts: readonly number[];
  readonly env: Readonly<Record<string, string>>;
}

/** What one service has and others do not, above all the servers that it reaches past its sidecar. */
function particulars(
  service: ServiceName,
  options: ServicePlansOptions,
  dir: string,
  instance: number,
): Particulars {
  const { servers } = options.shared;
  const kafka = { MEMPLANE_KAFKA_BROKERS: servers.kafkaBrokers.join(',') };
  const portOf = (first: number) => options.portBase + first + instance;
  switch (service) {
    case 'event-ingest':
      return {
        morePorts: [],
        env: {
          ...kafka,
          MEMPLANE_ETCD_ENDPOINTS: servers.etcdPorts.map((port) => `127.0.0.1:${port}`).join(),
          ...(options.zonesPath === undefined ? {} : { MEMPLANE_ZONES: options.zonesPath }),
        },
      };
    case 'materializer':
      return {
        morePorts: [portOf(PORTS.peers)],
        env: {
          ...kafka,
          // The drift of clocks, and how long event-ingest tries an append to Kafka.
          MEMPLANE_TIME_CUT_SETTLE_MS: '11000',
          MEMPLANE_MATERIALIZER_DIR: dir,
          MEMPLANE_MATERIALIZER_PEER_PORT: String(portOf(PORTS.peers)),
          MEMPLANE_S3_ENDPOINT: `http://127.0.0.1:${options.s3Port}`,
        },
      };
    case 'crdt-sync':
      return {
        morePorts: [portOf(PORTS.resp)],
        env: {
          MEMPLANE_RESP_PORT: String(portOf(PORTS.resp)),
          ...replicaEnv(options, instance),
          MEMPLANE_REDIS_URL: `redis://127.0.0.1:${options.replicaRedisPorts[instance]}`,
          MEMPLANE_REDIS_PASSWORD: options.secrets['redis-password'],
        },
      };
    case 'vector-index':
      return {
        morePorts: [],
        env: {
          MEMPLANE_VECTOR_INDEX_DIR: dir,
          MEMPLANE_MILVUS_ADDRESS: `127.0.0.1:${options.milvusPort}`,
        },
      };
  }
}

/** Each instance of crdt-sync is a replica, and speaks to the other by gossip. */
function replicaEnv(
  { gossipKey, portBase }: ServicePlansOptions,
  instance: number,
): Readonly<Record<string, string>> {
  const all = Array.from({ length: INSTANCES_PER_SERVICE }, (_, each) => each);
  const ids = all.map((each) => `crdt-sync-${each + 1}`);
  const ports = all.map((each) => portBase + PORTS.gossip + each);
  return {
    MEMPLANE_REPLICA_ID: String(ids[instance]),
    MEMPLANE_REPLICA_SET: ids.join(),
    MEMPLANE_GOSSIP_PORT: String(ports[instance]),
    MEMPLANE_GOSSIP_JOIN: ports.map((port) => `127.0.0.1:${port}`).join(),
    MEMPLANE_GOSSIP_KEYS: gossipKey,
  };
}

/** @param position 0 is the agent's sidecar */
export function sidecarPorts(portBase: number, position: number) {
  const first = portBase + PORTS.sidecars + position * PORTS_PER_SIDECAR;
  return {
    httpPort: first,
    grpcPort: first + 1,
    internalPort: first + 2,
    metricsPort: first + 3,
  };
}
