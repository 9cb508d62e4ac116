import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TOPICS } from '@memplane/contracts';
import { openKafkaReader } from '@memplane/event-log/kafka';
import { checkHttp, type ServerProcess } from '@memplane/stack';
import { DaprFixture } from '@memplane/stack/dapr-fixture';
import { freePorts } from '@memplane/testkit/ports';
import { Producer, stringSerializers } from '@platformatic/kafka';

// What the tests of the distributed event-ingest start: its real processes, each beside a sidecar.
const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

export interface Instance {
  readonly url: string;
  readonly process: ServerProcess;
}

export interface StoredEvent {
  readonly partition: number;
  readonly offset: number;
  readonly event: { readonly [member: string]: unknown };
}

export const OPERATOR = 'operator-token';
const READY_TIMEOUT_MS = 60_000;

export class IngestStack extends DaprFixture {
  /** One instance of event-ingest and its sidecar. */
  async instance(name: string, env: Readonly<Record<string, string>> = {}): Promise<Instance> {
    const [port = 0, daprPort = 0] = await freePorts(2);
    const url = `http://127.0.0.1:${port}`;
    const plan = {
      name,
      version: '0',
      command: process.execPath,
      args: [MAIN],
      cwd: this.dir,
      env: {
        MEMPLANE_EVENT_INGEST_PORT: String(port),
        MEMPLANE_KAFKA_BROKERS: this.brokers.join(','),
        MEMPLANE_EMBEDDING_DIMENSIONS: '4',
        MEMPLANE_TOKEN: OPERATOR,
        DAPR_HTTP_PORT: String(daprPort),
        DAPR_API_TOKEN: this.tokens.apiTokens['event-ingest'],
        APP_API_TOKEN: this.tokens.appTokens['event-ingest'],
        ...env,
      },
      ports: [port],
      logFile: join(this.dir, `${name}.log`),
      prepare: async () => {},
      check: () => checkHttp(`${url}/readyz`, {}),
      readyTimeoutMs: READY_TIMEOUT_MS,
      stopTimeoutMs: 20_000,
    };
    const [process_] = await Promise.all([
      this.run(plan),
      this.sidecar('event-ingest', port, `${name}-dapr`, daprPort),
    ]);
    return { url, process: process_ };
  }

  /** All of `agent-events`, in order within each partition. */
  async events(): Promise<StoredEvent[]> {
    const reader = await openKafkaReader({ brokers: this.brokers, topic: TOPICS.events });
    try {
      const events: StoredEvent[] = [];
      for (let partition = 0; partition < reader.info.partitions; partition++) {
        const { start, end } = await reader.bounds(partition);
        for (let offset = start; offset < end; ) {
          const records = await reader.read(partition, offset, { maxBytes: 4 * 1024 * 1024 });
          for (const record of records) {
            events.push({
              partition,
              offset: record.offset,
              event: JSON.parse(record.value.toString()),
            });
            offset = record.offset + 1;
          }
        }
      }
      return events;
    } finally {
      await reader.close();
    }
  }

  /** Writes to a topic past all sidecars: any bytes. */
  async produce(topic: string, messages: readonly { key?: string; value: string }[]) {
    const producer = new Producer({
      clientId: 'test',
      bootstrapBrokers: [...this.brokers],
      serializers: stringSerializers,
    });
    try {
      await producer.send({
        messages: messages.map((message) => ({ topic, ...message })),
        acks: -1,
      });
    } finally {
      await producer.close();
    }
  }
}
