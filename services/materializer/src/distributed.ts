import { join } from 'node:path';
import { type BlobStore, FileBlobStore } from '@memplane/blob-store';
import { TOPICS } from '@memplane/contracts';
import { type LogReader, openEmbeddedReader } from '@memplane/event-log';
import {
  ConfigError,
  createHttpInvoker,
  type Env,
  type Invoker,
  serviceHeaders,
} from '@memplane/runtime';
import {
  createDaprInvoker,
  DaprPublisher,
  DaprSecrets,
  readSidecarConfig,
  type SidecarConfig,
  waitForSidecar,
} from '@memplane/runtime/dapr';
import { type MaterializerConfig, peerTokenOf, peerUrlOf, serviceUrls } from './config.ts';
import type { OpenViewTopic, ViewTopic } from './domain/publishing.ts';
import { HttpPeers } from './drivers/http-peers.ts';
import { createMaterializer, type Materializer, type MaterializerContext } from './service.ts';

/** The service as a process of its own, and what is closed after it has stopped. */
export interface OpenedService {
  readonly service: Materializer;
  close(): Promise<void>;
}

/** Chooses the drivers by the settings. @throws what opening them throws */
export async function openDistributed(
  config: MaterializerConfig,
  env: Env,
): Promise<OpenedService> {
  const sidecar = readSidecarConfig(env);
  const invoker = invokerOf(config, sidecar);
  const blobStore = await blobStoreOf(config, sidecar);
  const viewTopic =
    sidecar === undefined || !config.viewsPublishing ? undefined : viewTopicOf(config, sidecar);
  const shared = {
    invoker,
    ...(blobStore === undefined ? {} : { blobStore }),
    ...(viewTopic === undefined ? {} : { viewTopic }),
  };
  const { logReader, context, close } =
    config.kafkaBrokers === undefined
      ? await onEmbeddedLog(config)
      : await onKafka(config, config.kafkaBrokers);
  try {
    const service = await createMaterializer(config, { ...shared, ...context, logReader });
    return { service, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface OpenedLog {
  readonly logReader: LogReader;
  readonly context: Pick<MaterializerContext, 'ownership' | 'peers' | 'logAdmin'>;
  close(): Promise<void>;
}

async function onEmbeddedLog({ logDir }: MaterializerConfig): Promise<OpenedLog> {
  const logReader = await openEmbeddedReader({ dir: logDir });
  return { logReader, context: {}, close: () => logReader.close() };
}

async function onKafka(config: MaterializerConfig, brokers: string): Promise<OpenedLog> {
  // Only where it is asked for: the driver costs start-up time.
  const kafka = await import('@memplane/event-log/kafka');
  const self = peerUrlOf(config);
  const options = {
    brokers: brokersOf(brokers),
    topic: config.kafkaTopic,
    partitionsInitial: config.partitions,
    // The group tells all members what each calls itself: that is how they find each other.
    clientId: self,
  };
  const logReader = await kafka.openKafkaReader(options);
  const admin = await kafka.openKafkaAdmin(options);
  const { consumerGroup: groupId, revokeTimeoutMs } = config;
  const ownership = await kafka.openKafkaAssignment({
    ...{ ...options, groupId, revokeTimeoutMs },
    // It joins when the views are open, which locks their folder.
    memberFile: join(config.dir, 'member'),
  });
  const peers = new HttpPeers({ self, ownership, token: peerTokenOf(config) });
  return {
    logReader,
    context: { ownership, peers, logAdmin: admin },
    close: async () => {
      await admin.close();
      await logReader.close();
    },
  };
}

function invokerOf(config: MaterializerConfig, sidecar: SidecarConfig | undefined): Invoker {
  if (sidecar !== undefined) return createDaprInvoker(sidecar);
  return createHttpInvoker(serviceUrls(config), { headers: serviceHeaders(config) });
}

function viewTopicOf({ kafkaBrokers }: MaterializerConfig, sidecar: SidecarConfig): ViewTopic {
  const publisher = new DaprPublisher(sidecar);
  return {
    async publish(views, timeoutMs) {
      const entries = views.map(({ key, json }) => ({ key, value: JSON.parse(json.toString()) }));
      await publisher.publish(TOPICS.views, entries, { timeoutMs });
    },
    ...(kafkaBrokers === undefined ? {} : { open: () => openViewTopic(brokersOf(kafkaBrokers)) }),
  };
}

/** Not through the sidecar: what a topic has is not for it to say. */
async function openViewTopic(brokers: readonly string[]): Promise<OpenViewTopic | undefined> {
  const { CompactedTopic } = await import('@memplane/event-log/kafka');
  return await CompactedTopic.open({ brokers, topic: TOPICS.views });
}

function brokersOf(text: string): string[] {
  return text.split(',').map((broker) => broker.trim());
}

const SIDECAR_TIMEOUT_MS = 60_000;
/** Nobody takes so long for one blob. */
const UNFINISHED_AGE_MS = 24 * 60 * 60_000;

async function blobStoreOf(
  config: MaterializerConfig,
  sidecar: SidecarConfig | undefined,
): Promise<BlobStore | undefined> {
  const { blobDir, s3Endpoint: endpoint, s3Bucket: bucket, s3Region: region } = config;
  if (endpoint === undefined) {
    return blobDir === undefined ? undefined : await FileBlobStore.open(blobDir);
  }
  if (sidecar === undefined) {
    throw new ConfigError('with MEMPLANE_S3_ENDPOINT, a sidecar is needed for its keys');
  }
  await waitForSidecar(sidecar, SIDECAR_TIMEOUT_MS);
  const secrets = new DaprSecrets(sidecar);
  const [accessKey, secretKey] = await Promise.all(
    ['s3-access-key', 's3-secret-key'].map((name) => secrets.get(name)),
  );
  // Only where it is asked for: the client takes long to load.
  const { S3BlobStore } = await import('@memplane/blob-store/s3');
  const store = await S3BlobStore.open({
    endpoint,
    bucket,
    region,
    accessKey: accessKey ?? '',
    secretKey: secretKey ?? '',
  });
  await store.recover(UNFINISHED_AGE_MS, Date.now());
  return store;
}
