import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  etcdPlan,
  kafkaPlan,
  makeTopics,
  milvusPlan,
  redisPlan,
  type SentryPlan,
  type ServerPlan,
  ServerProcess,
  sentryPlan,
  versitygwPlan,
} from '@memplane/stack';
import { DISTRIBUTED, type Values } from '../helm/lib/render.ts';

/** What the chart does not bring: the stores, and Dapr's certificate authority. */
export interface Servers extends AsyncDisposable {
  readonly sentry: SentryPlan;
  /** What the chart calls them, and where they are. */
  readonly addresses: ReadonlyMap<string, string>;
  readonly redisPassword: string;
  /** The file that the materializer's sidecar reads the archive's keys from. */
  readonly secretsFile: string;
}

/** What both versions are installed with. */
export const VALUES: Values = {
  ...DISTRIBUTED,
  dapr: { agents: [{ appId: 'agent', namespace: 'mem' }] },
};

/** All of them start at once, on a few cores. */
const READY_TIMEOUT_MS = 300_000;

const secret = () => randomBytes(24).toString('base64url');

export async function startServers(dir: string): Promise<Servers> {
  const redisPassword = secret();
  const keys = { 's3-access-key': 'memplane', 's3-secret-key': secret() };
  const secretsFile = join(dir, 'secrets.json');
  writeFileSync(secretsFile, JSON.stringify(keys), { mode: 0o600 });
  const kafka = await kafkaPlan({ dir: join(dir, 'kafka') });
  const redis = await redisPlan({ dir: join(dir, 'redis'), password: redisPassword });
  const etcd = await etcdPlan({ dir: join(dir, 'etcd') });
  const milvus = await milvusPlan({ dir: join(dir, 'milvus') });
  const sentry = await sentryPlan({ dir: join(dir, 'sentry') });
  const s3 = await versitygwPlan({
    dir: join(dir, 's3'),
    accessKey: keys['s3-access-key'],
    secretKey: keys['s3-secret-key'],
    buckets: ['memplane'],
  });
  const running = await startAll([kafka, redis, etcd, milvus, sentry, s3]);
  await makeTopics(kafka.brokers);
  const at = ({ port }: { readonly port: number }) => `127.0.0.1:${port}`;
  return {
    sentry,
    redisPassword,
    secretsFile,
    addresses: new Map([
      ['kafka.kafka:9092', at(kafka)],
      ['redis.redis:6379', at(redis)],
      ['etcd.etcd:2379', at(etcd)],
      ['milvus.milvus:19530', at(milvus)],
      ['https://s3.example.com', `http://${at(s3)}`],
    ]),
    async [Symbol.asyncDispose]() {
      await Promise.all(running.map((server) => server.kill()));
    },
  };
}

async function startAll(plans: readonly ServerPlan[]): Promise<ServerProcess[]> {
  const patient = plans.map((plan) => ({ ...plan, readyTimeoutMs: READY_TIMEOUT_MS }));
  const starts = await Promise.allSettled(patient.map((plan) => ServerProcess.start(plan)));
  const running = starts.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const failed = starts.find((one) => one.status === 'rejected');
  if (failed === undefined) return running;
  await Promise.all(running.map((server) => server.kill()));
  throw failed.reason;
}
