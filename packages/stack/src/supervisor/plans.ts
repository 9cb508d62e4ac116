import { join } from 'node:path';
import { daprdPlan } from '../server/daprd.ts';
import { etcdPlan } from '../server/etcd.ts';
import { type KafkaPlan, kafkaPlan } from '../server/kafka.ts';
import { milvusPlan } from '../server/milvus.ts';
import type { ServerPlan } from '../server/plan.ts';
import { redisPlan } from '../server/redis.ts';
import { sentryPlan } from '../server/sentry.ts';
import { versitygwPlan } from '../server/versitygw.ts';
import { secretsFile, stackSecrets } from './secrets.ts';
import type { StackSettings } from './settings.ts';

/** Offsets from the port base. */
const PORTS = {
  kafka: 92,
  kafkaController: 93,
  redis: 79,
  etcd: 37,
  etcdPeer: 38,
  s3: 70,
  milvus: 30,
  milvusMetrics: 31,
  /** Ten in a row. */
  milvusInternal: 40,
  /** Three in a row. */
  sentry: 50,
  /** Four in a row. */
  agentSidecar: 100,
} as const;

export interface StackPlans {
  readonly kafka: KafkaPlan;
  /** Started one stage after the other; within a stage all at once. */
  readonly stages: readonly (readonly ServerPlan[])[];
  /** What an agent on this machine needs to know. */
  readonly exports: Readonly<Record<string, string>>;
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
  const redis = await redisPlan({
    dir: join(dir, 'redis'),
    port: port(PORTS.redis),
    password: secrets.values['redis-password'],
  });
  const etcd = await etcdPlan({
    dir: join(dir, 'etcd'),
    port: port(PORTS.etcd),
    peerPort: port(PORTS.etcdPeer),
  });
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
  const sentry = await sentryPlan({
    dir: join(dir, 'sentry'),
    port: port(PORTS.sentry),
    healthPort: port(PORTS.sentry + 1),
    metricsPort: port(PORTS.sentry + 2),
  });
  const agent = await daprdPlan({
    dir: join(dir, 'sidecars'),
    appId: 'agent',
    httpPort: port(PORTS.agentSidecar),
    grpcPort: port(PORTS.agentSidecar + 1),
    internalPort: port(PORTS.agentSidecar + 2),
    metricsPort: port(PORTS.agentSidecar + 3),
    apiToken: tokens.apiTokens.agent,
    sentry,
    servers: {
      kafkaBrokers: kafka.brokers,
      redisPort: redis.port,
      etcdPort: etcd.port,
      secretsFile: secrets.path,
      namesFile: join(dir, 'sidecars', 'names.db'),
    },
  });
  return {
    kafka,
    // The services and their sidecars come in between, as a stage of their own.
    stages: [[kafka, redis, etcd, s3, milvus, sentry], [agent]],
    exports: {
      DAPR_HTTP_ENDPOINT: `http://127.0.0.1:${agent.httpPort}`,
      DAPR_GRPC_ENDPOINT: `127.0.0.1:${agent.grpcPort}`,
      DAPR_API_TOKEN: tokens.apiTokens.agent,
      MEMPLANE_KAFKA_BROKERS: kafka.brokers.join(','),
      MEMPLANE_KAFKA_LIBS: kafka.libs,
      MEMPLANE_REDIS_ADDRESS: `127.0.0.1:${redis.port}`,
      MEMPLANE_ETCD_ENDPOINTS: `127.0.0.1:${etcd.port}`,
      MEMPLANE_MILVUS_ADDRESS: `127.0.0.1:${milvus.port}`,
      MEMPLANE_S3_ENDPOINT: `http://127.0.0.1:${s3.port}`,
    },
  };
}
