import { type BlobStore, FileBlobStore } from '@memplane/blob-store';
import { type LogReader, openEmbeddedReader } from '@memplane/event-log';
import { createHttpInvoker, type Env, type Invoker } from '@memplane/runtime';
import { createDaprInvoker, readSidecarConfig } from '@memplane/runtime/dapr';
import { type MaterializerConfig, peerTokenOf, peerUrlOf, serviceUrls } from './config.ts';
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
  const invoker = invokerOf(config, env);
  const blobStore = await blobStoreOf(config);
  const shared = { invoker, ...(blobStore === undefined ? {} : { blobStore }) };
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
    brokers: brokers.split(',').map((broker) => broker.trim()),
    topic: config.kafkaTopic,
    partitionsInitial: config.partitions,
    // The group tells all members what each calls itself: that is how they find each other.
    clientId: self,
  };
  const logReader = await kafka.openKafkaReader(options);
  const admin = await kafka.openKafkaAdmin(options);
  const { consumerGroup: groupId, revokeTimeoutMs } = config;
  const ownership = await kafka.openKafkaAssignment({ ...options, groupId, revokeTimeoutMs });
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

function invokerOf(config: MaterializerConfig, env: Env): Invoker {
  const sidecar = readSidecarConfig(env);
  if (sidecar !== undefined) return createDaprInvoker(sidecar);
  const { token } = config;
  const headers: Record<string, string> =
    token === undefined ? {} : { authorization: `Bearer ${token}` };
  return createHttpInvoker(serviceUrls(config), { headers });
}

async function blobStoreOf({ blobDir }: MaterializerConfig): Promise<BlobStore | undefined> {
  return blobDir === undefined ? undefined : await FileBlobStore.open(blobDir);
}
