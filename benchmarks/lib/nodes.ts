import { join } from 'node:path';
import { type ServiceName, TOPICS } from '@memplane/contracts';
import { createEventIngest, readIngestConfig } from '@memplane/event-ingest';
import { openKafkaLog } from '@memplane/event-log/kafka';
import {
  type KafkaPlan,
  type MilvusPlan,
  makeTopics,
  milvusPlan,
  ServerProcess,
  type ServicePlan,
  servicePlan,
  startKafka,
} from '@memplane/stack';
import { freePorts } from '@memplane/testkit';

/** The services that run as processes here. */
type Started = Extract<ServiceName, 'materializer' | 'vector-index'>;
type Settings = Readonly<Record<string, string>>;

/**
 * Servers and single instances of the services, as in the distributed plane but without sidecars:
 * each service is asked directly. All end with this process.
 * event-ingest, which wants a sidecar when it is a process, is in this one.
 */
export class Nodes {
  readonly kafka: KafkaPlan;
  readonly #dir: string;
  readonly #servers: ServerProcess[];
  readonly #urls = new Map<Started, string>();
  #ingest: Ingest | undefined;
  #milvus: MilvusPlan | undefined;

  private constructor(dir: string, kafka: KafkaPlan, server: ServerProcess) {
    this.#dir = dir;
    this.kafka = kafka;
    this.#servers = [server];
  }

  /** With Kafka and its topics; the rest is started by name. */
  static async start(dir: string): Promise<Nodes> {
    const { server, plan } = await startKafka({ dir: join(dir, 'kafka'), heapMib: 1024 });
    await makeTopics(plan.brokers);
    const nodes = new Nodes(dir, plan, server);
    nodes.#ingest = await openIngest(plan.brokers);
    return nodes;
  }

  get ingest(): string {
    if (this.#ingest === undefined) throw new Error('no event-ingest');
    return this.#ingest.url;
  }

  get materializer(): string {
    return this.#url('materializer');
  }

  get vectors(): string {
    return this.#url('vector-index');
  }

  /** `host:port`. */
  get milvus(): string {
    if (this.#milvus === undefined) throw new Error('no Milvus');
    return `127.0.0.1:${this.#milvus.port}`;
  }

  async startMilvus(): Promise<void> {
    this.#milvus = await milvusPlan({ dir: join(this.#dir, 'milvus') });
    this.#servers.push(await ServerProcess.start(this.#milvus));
  }

  /** Starts one instance of a service. @param settings beside those that the servers make needful */
  async startService(service: Started, settings: Settings = {}): Promise<ServerProcess> {
    const plan = await this.planOf(service, settings);
    const server = await ServerProcess.start(plan);
    this.#servers.push(server);
    return server;
  }

  async planOf(service: Started, settings: Settings): Promise<ServicePlan> {
    const [port = 0, peerPort = 0] = await freePorts(2);
    const dir = join(this.#dir, service);
    this.#urls.set(service, `http://127.0.0.1:${port}`);
    const env = { ...this.#settingsOf(service, dir, peerPort), ...settings };
    return servicePlan({ service, name: service, dir, port, morePorts: [peerPort], env });
  }

  /** Ends all, what was started last first. */
  async stop(): Promise<void> {
    await this.#ingest?.close();
    for (const server of this.#servers.toReversed()) await server.stop();
  }

  #settingsOf(service: Started, dir: string, peerPort: number): Settings {
    switch (service) {
      case 'materializer':
        return {
          MEMPLANE_KAFKA_BROKERS: this.kafka.brokers.join(),
          MEMPLANE_MATERIALIZER_DIR: join(dir, 'data'),
          MEMPLANE_MATERIALIZER_PEER_PORT: String(peerPort),
          MEMPLANE_COUNTER_PUBLISHING: 'false',
        };
      case 'vector-index':
        return {
          MEMPLANE_VECTOR_INDEX_DIR: join(dir, 'data'),
          MEMPLANE_MATERIALIZER_URL: this.materializer,
          MEMPLANE_MILVUS_ADDRESS: this.milvus,
          // No sidecar delivers events, so none says whose a partition is.
          MEMPLANE_MILVUS_TAKEOVER_MS: '0',
        };
    }
  }

  #url(service: Started): string {
    const url = this.#urls.get(service);
    if (url === undefined) throw new Error(`${service} is not started`);
    return url;
  }
}

interface Ingest {
  readonly url: string;
  close(): Promise<void>;
}

async function openIngest(brokers: readonly string[]): Promise<Ingest> {
  const { writer } = await openKafkaLog({ brokers, topic: TOPICS.events });
  const config = readIngestConfig({
    MEMPLANE_EVENT_INGEST_PORT: '0',
    MEMPLANE_LOG_LEVEL: 'warn',
  });
  const service = await createEventIngest(config, { logWriter: writer });
  await service.start();
  const close = async () => {
    await service.drain();
    await service.stop();
    await writer.close();
  };
  return { url: `http://127.0.0.1:${service.port}`, close };
}
