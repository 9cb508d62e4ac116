import { join } from 'node:path';
import { type DaprdPlan, daprdPlan } from '../server/daprd.ts';
import { etcdPlan } from '../server/etcd.ts';
import { type KafkaPlan, kafkaPlan } from '../server/kafka.ts';
import { milvusPlan } from '../server/milvus.ts';
import type { ServerPlan } from '../server/plan.ts';
import { redisPlan } from '../server/redis.ts';
import { type SentryPlan, sentryPlan } from '../server/sentry.ts';
import { versitygwPlan } from '../server/versitygw.ts';
import { operatorToken, secretsFile, stackSecrets } from './secrets.ts';
import { type InstancePlans, servicePlans, sidecarPorts } from './service-plans.ts';
import type { StackSettings } from './settings.ts';
import { PORTS } from './stack-ports.ts';

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
      [kafka, redis, etcd, s3, milvus, sentry],
      [...instances.flatMap(({ app, sidecar }) => [app, sidecar]), agent],
    ],
    exports: {
      ...agentExports(agent, tokens.apiTokens.agent),
      MEMPLANE_KAFKA_BROKERS: kafka.brokers.join(','),
      MEMPLANE_KAFKA_LIBS: kafka.libs,
      MEMPLANE_REDIS_ADDRESS: `127.0.0.1:${redis.port}`,
      MEMPLANE_ETCD_ENDPOINTS: `127.0.0.1:${etcd.port}`,
      MEMPLANE_MILVUS_ADDRESS: `127.0.0.1:${milvus.port}`,
      MEMPLANE_S3_ENDPOINT: `http://127.0.0.1:${s3.port}`,
    },
    operatorExports: operatorExports(dir, portBase),
  };
}

function agentExports(sidecar: DaprdPlan, apiToken: string): Record<string, string> {
  return {
    DAPR_HTTP_ENDPOINT: `http://127.0.0.1:${sidecar.httpPort}`,
    DAPR_GRPC_ENDPOINT: `127.0.0.1:${sidecar.grpcPort}`,
    DAPR_API_TOKEN: apiToken,
  };
}

function operatorExports(dir: string, portBase: number): Record<string, string> {
  return {
    MEMPLANE_URL: `http://127.0.0.1:${portBase + PORTS.services}`,
    MEMPLANE_TOKEN: operatorToken(dir),
    MEMPLANE_RESP_PORT: String(portBase + PORTS.resp),
  };
}
