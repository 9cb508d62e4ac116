export { type BuiltPart, built, cacheFolder, partFolder, type Recipe } from './build/cache.ts';
export { runBuild } from './build/command.ts';
export {
  DAPRD_VERSION,
  daprdBinary,
  daprdRecipe,
  dockerfileCheckBinary,
  ETCD_VERSION,
  etcdBinary,
  etcdRecipe,
  type GoProgram,
  goBinary,
  helmBinary,
  KUBERNETES_VERSION,
  kubeconformBinary,
  sentryBinary,
  VERSITYGW_VERSION,
  versitygwBinary,
  versitygwRecipe,
} from './build/go.ts';
export { KAFKA_VERSION, kafkaLibs, kafkaRecipe } from './build/kafka.ts';
export { MILVUS_VERSION, milvusFolder, milvusRecipe } from './build/milvus.ts';
export {
  packagedRedis,
  type RedisBinary,
  redisBinary,
  redisRecipe,
  redisTool,
} from './build/redis.ts';
export { strimziDefinitions } from './build/strimzi.ts';
export {
  type ApartNet,
  apartNet,
  cutLink,
  droppedBy,
  restoreLink,
  whyNotApart,
} from './server/apart.ts';
export { type DaprdOptions, type DaprdPlan, daprdPlan } from './server/daprd.ts';
export { type EtcdOptions, type EtcdPlan, etcdPlan, etcdPlans } from './server/etcd.ts';
export { checkHttp } from './server/http-check.ts';
export { type KafkaOptions, type KafkaPlan, kafkaPlan, startKafka } from './server/kafka.ts';
export { checkKafka } from './server/kafka-check.ts';
export { type KubernetesPlans, kubernetesPlans } from './server/kubernetes.ts';
export { lastLines } from './server/log-tail.ts';
export { type MilvusOptions, type MilvusPlan, milvusPlan } from './server/milvus.ts';
export { type OtelcolOptions, type OtelcolPlan, otelcolPlan } from './server/otelcol.ts';
export type { ServerPlan } from './server/plan.ts';
export { ServerProcess } from './server/process.ts';
export { type RedisOptions, type RedisPlan, redisPlan } from './server/redis.ts';
export { type SentryOptions, type SentryPlan, sentryPlan } from './server/sentry.ts';
export { nodeFlags, type ServiceOptions, type ServicePlan, servicePlan } from './server/service.ts';
export { type VersitygwOptions, type VersitygwPlan, versitygwPlan } from './server/versitygw.ts';
export { type StackPlans, stackPlans } from './supervisor/plans.ts';
export { isAlive, type RunningServer, readRecord } from './supervisor/record.ts';
export { withScratchStack } from './supervisor/scratch.ts';
export {
  APP_IDS,
  type AppId,
  gossipKey,
  operatorToken,
  secretsFile,
  stackSecrets,
} from './supervisor/secrets.ts';
export type { InstancePlans } from './supervisor/service-plans.ts';
export { type StackSettings, stackSettings } from './supervisor/settings.ts';
export { type StatusRow, stackStatus, statusTable } from './supervisor/status.ts';
export { makeTopics, TOPICS, type TopicSpec } from './supervisor/topics.ts';
export { stackDown, stackUp } from './supervisor/up.ts';
