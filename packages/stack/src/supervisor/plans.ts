import { join } from 'node:path';
import type { ServiceName } from '@memplane/contracts';
import { type DaprdPlan, daprdPlan } from '../server/daprd.ts';
import { etcdPlan } from '../server/etcd.ts';
import { type KafkaPlan, kafkaPlan } from '../server/kafka.ts';
import { milvusPlan } from '../server/milvus.ts';
import type { ServerPlan } from '../server/plan.ts';
import { type RedisPlan, redisPlan } from '../server/redis.ts';
import { type SentryPlan, sentryPlan } from '../server/sentry.ts';
import type { ServicePlan } from '../server/service.ts';
import { versitygwPlan } from '../server/versitygw.ts';
import { gossipKey, operatorToken, secretsFile, stackSecrets } from './secrets.ts';
import { type InstancePlans, servicePlans, sidecarPorts } from './service-plans.ts';
import type { StackSettings } from './settings.ts';
import { INSTANCES_PER_SERVICE, PORTS } from './stack-ports.ts';

export interface StackPlans {
  readonly kafka: KafkaPlan;
  /** The certificate authority of all sidecars. */
  readonly sentry: SentryPlan;
  readonly instances: readonly InstancePlans[];
  /** Started one stage after the other; within a stage all at once. */
  readonly stages: readonly (readonly ServerPlan[])[];
  /** What an agent on this machine needs to know. */
  readonly exports: Readonly<Record<string, string>>;
  /** What its operator needs beside that. */
  readonly operatorExports: Readonly<Record<string, string>>;
}

/** Every server of the stack, with its ports and folders; builds what is not built yet. */
export async function stackPlans(settings: StackSettings): Promise<StackPlans> {
  const { dir, portBase } = settings;
  const port = (offset: number) => portBase + offset;
  const secrets = secretsFile(dir);
  const tokens = stackSecrets(dir);
  const kafka = await kafkaPlan({
    dir: join(dir, 'kafka'),
    port: port(PORTS.kafka),
    controllerPort: port(PORTS.kafkaController),
  });
  const password = secrets.values['redis-password'];
  const redis = await redisPlan({ dir: join(dir, 'redis'), port: port(PORTS.redis), password });
  const replicaRedis = await replicaRedisPlans(settings, password);
  const etcdPorts = { port: port(PORTS.etcd), peerPort: port(PORTS.etcdPeer) };
  const etcd = await etcdPlan({ dir: join(dir, 'etcd'), ...etcdPorts });
  const s3 = await versitygwPlan({
    dir: join(dir, 'versitygw'),
    port: port(PORTS.s3),
    accessKey: secrets.values['s3-access-key'],
    secretKey: secrets.values['s3-secret-key'],
    buckets: ['memplane'],
  });
  const milvus = await milvusPlan({
    dir: join(dir, 'milvus'),
    port: port(PORTS.milvus),
    metricsPort: port(PORTS.milvusMetrics),
    internalPortBase: port(PORTS.milvusInternal),
  });
  const sentry = await sentryPlan({ dir: join(dir, 'sentry'), ...sentryPorts(portBase) });
  const shared = {
    dir: join(dir, 'sidecars'),
    sentry,
    servers: {
      kafkaBrokers: kafka.brokers,
      redisPort: redis.port,
      etcdPorts: [etcd.port],
      secretsFile: secrets.path,
      namesFile: join(dir, 'sidecars', 'names.db'),
    },
  };
  const agent = await daprdPlan({
    ...shared,
    ...sidecarPorts(portBase, 0),
    name: 'agent-dapr',
    appId: 'agent',
    apiToken: tokens.apiTokens.agent,
    ...(settings.otlpEndpoint === undefined ? {} : { otlpEndpoint: settings.otlpEndpoint }),
  });
  const instances = await servicePlans({
    ...{ dir, portBase, shared, tokens, secrets: secrets.values },
    operatorToken: operatorToken(dir),
    gossipKey: gossipKey(dir),
    replicaRedisPorts: replicaRedis.map((redis) => redis.port),
    milvusPort: milvus.port,
    s3Port: s3.port,
    otlpEndpoint: settings.otlpEndpoint,
    kafkaPort: kafka.port,
    zonesPath: settings.zonesPath,
    apart: settings.apart ?? [],
  });
  return {
    kafka,
    sentry,
    instances,
    // A service and its sidecar wait for each other, so they start together.
    stages: [
      [kafka, redis, ...replicaRedis, etcd, s3, milvus, sentry],
      [...instances.flatMap(({ app, sidecar }) => [app, sidecar]), agent],
    ],
    exports: {
      ...agentExports(agent, tokens.apiTokens.agent),
      MEMPLANE_KAFKA_BROKERS: kafka.brokers.join(','),
      MEMPLANE_KAFKA_LIBS: kafka.libs,
      MEMPLANE_REDIS_ADDRESS: addressOf(redis),
      MEMPLANE_REPLICA_REDIS_ADDRESSES: replicaRedis.map(addressOf).join(),
      MEMPLANE_ETCD_ENDPOINTS: addressOf(etcd),
      MEMPLANE_MILVUS_ADDRESS: addressOf(milvus),
      MEMPLANE_S3_ENDPOINT: `http://${addressOf(s3)}`,
    },
    operatorExports: operatorExports(dir, instances, port(PORTS.resp)),
  };
}

/** One for each replica of crdt-sync: those that shared one would be one replica. */
function replicaRedisPlans(
  { dir, portBase }: StackSettings,
  password: string,
): Promise<RedisPlan[]> {
  const plans = Array.from({ length: INSTANCES_PER_SERVICE }, (_, instance) => {
    const name = `crdt-sync-${instance + 1}-redis`;
    const port = portBase + PORTS.replicaRedis + instance;
    return redisPlan({ dir: join(dir, name), name, port, password });
  });
  return Promise.all(plans);
}

function sentryPorts(portBase: number) {
  const port = portBase + PORTS.sentry;
  return { port, healthPort: port + 1, metricsPort: port + 2 };
}

function addressOf({ port }: { readonly port: number }): string {
  return `127.0.0.1:${port}`;
}

function agentExports(sidecar: DaprdPlan, apiToken: string): Record<string, string> {
  return {
    DAPR_HTTP_ENDPOINT: `http://127.0.0.1:${sidecar.httpPort}`,
    DAPR_GRPC_ENDPOINT: `127.0.0.1:${sidecar.grpcPort}`,
    DAPR_API_TOKEN: apiToken,
  };
}

function operatorExports(
  dir: string,
  instances: readonly InstancePlans[],
  respPort: number,
): Record<string, string> {
  const urlsOf = (service: ServiceName) =>
    instances.filter(({ app }) => app.service === service).map(({ app }) => urlOf(app));
  return {
    MEMPLANE_URL: urlsOf('event-ingest')[0] ?? '',
    MEMPLANE_MATERIALIZER_URL: urlsOf('materializer').join(),
    MEMPLANE_CRDT_SYNC_URL: urlsOf('crdt-sync').join(),
    MEMPLANE_VECTOR_INDEX_URL: urlsOf('vector-index').join(),
    MEMPLANE_TOKEN: operatorToken(dir),
    MEMPLANE_RESP_PORT: String(respPort),
  };
}

function urlOf({ apart, port }: ServicePlan): string {
  return `http://${apart?.address ?? '127.0.0.1'}:${port}`;
}
