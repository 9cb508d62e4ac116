import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SidecarConfig } from '@memplane/runtime/dapr';
import { servicePlan } from '@memplane/stack';
import { DaprFixture } from '@memplane/stack/dapr-fixture';
import { freePorts } from '@memplane/testkit/ports';

const TOKEN = 'operator';

export interface TestAnswer {
  readonly status: number;
  readonly [member: string]: unknown;
}

/**
 * Two instances of event-ingest on etcd, Kafka and Redis, each with its own sidecar, and the views by
 * a materializer of its own process; the index by another one, where it is asked for.
 */
export class StrongPlane implements AsyncDisposable {
  readonly servers = new DaprFixture();
  /** Where the instances of event-ingest listen. */
  readonly ingests: string[] = [];
  /** Where the materializer does. */
  views = '';
  /** The sidecar of the materializer, by which it publishes. */
  viewsSidecar: SidecarConfig | undefined;
  /** Where vector-index does; empty: there is none. */
  index = '';

  get zonesFile(): string {
    return join(this.servers.dir, 'zones.yaml');
  }

  /**
   * @param zones the text of the file of zones
   * @param settings what event-ingest is told beside
   * @param erases whether it is to clear what is erased, which takes an index, too, and do it soon
   */
  async start(
    zones: string,
    settings: (dir: string) => Promise<Readonly<Record<string, string>>>,
    erases = false,
  ): Promise<void> {
    await (erases
      ? this.servers.start(CLEANING_SOON, 1, COMPACTED_SOON, TURNING_SOON)
      : this.servers.start());
    await writeFile(this.zonesFile, zones);
    const [one = 0, two = 0, port = 0, peers = 0] = await freePorts(4);
    await this.#serve('materializer', 'materializer', port, {
      MEMPLANE_MATERIALIZER_DIR: join(this.servers.dir, 'views'),
      MEMPLANE_MATERIALIZER_PEER_PORT: String(peers),
      MEMPLANE_TIME_CUT_SETTLE_MS: '11000',
      ...(erases ? clearingSoon(this.servers.dir) : {}),
    });
    this.views = `http://127.0.0.1:${port}`;
    const index = erases ? this.#serveIndex() : undefined;
    const env = {
      MEMPLANE_ZONES: this.zonesFile,
      MEMPLANE_ZONES_POLL_MS: '200',
      MEMPLANE_STRONG_SETTLE_MS: '1500',
      ...(await settings(this.servers.dir)),
    };
    await Promise.all([
      this.#serve('event-ingest', 'ingest-1', one, env),
      this.#serve('event-ingest', 'ingest-2', two, env),
      index,
    ]);
    this.ingests.push(...[one, two].map((at) => `http://127.0.0.1:${at}`));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.servers[Symbol.asyncDispose]();
  }

  async #serveIndex(): Promise<void> {
    const [port = 0] = await freePorts(1);
    await this.#serve('vector-index', 'vector-index', port, {
      MEMPLANE_VECTOR_INDEX_DIR: join(this.servers.dir, 'vectors'),
      MEMPLANE_INDEX_RETIRE_MS: '200',
    });
    this.index = `http://127.0.0.1:${port}`;
  }

  async #serve(
    service: 'event-ingest' | 'materializer' | 'vector-index',
    name: string,
    port: number,
    env: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { apiTokens, appTokens } = this.servers.tokens;
    const [httpPort = 0] = await freePorts(1);
    const apiToken = apiTokens[service];
    if (service === 'materializer') {
      const appToken = appTokens[service];
      this.viewsSidecar = { url: `http://127.0.0.1:${httpPort}`, apiToken, appToken };
    }
    const plan = servicePlan({
      service,
      name,
      port,
      dir: join(this.servers.dir, name),
      env: {
        MEMPLANE_KAFKA_BROKERS: this.servers.brokers.join(','),
        MEMPLANE_TOKEN: TOKEN,
        DAPR_HTTP_PORT: String(httpPort),
        DAPR_HTTP_ENDPOINT: `http://127.0.0.1:${httpPort}`,
        DAPR_API_TOKEN: apiToken,
        APP_API_TOKEN: appTokens[service],
        ...env,
      },
    });
    // Each waits for the other.
    const sidecar = this.servers.sidecar(service, port, `${name}-dapr`, httpPort);
    await Promise.all([sidecar, this.servers.run(plan)]);
  }

  /** One call as an operator. */
  async call(method: string, url: string, body?: unknown): Promise<TestAnswer> {
    const response = await fetch(url, {
      method,
      headers: {
        authorization: `Bearer ${TOKEN}`,
        'content-type': 'application/json',
        // Reading the servers' files takes longer than a connection is kept.
        connection: 'close',
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { ...(text === '' ? {} : (JSON.parse(text) as object)), status: response.status };
  }
}

/** Kafka removes what a compacted topic has no need of once a quarter of a minute, by default. */
const CLEANING_SOON = { 'log.cleaner.backoff.ms': '200' };
/** etcd keeps one file of its write-ahead log, and needs none from before a snapshot. */
const TURNING_SOON = ['--max-wals=1', '--snapshot-count=100'];
const COMPACTED_SOON = { 'max.compaction.lag.ms': '1500', 'file.delete.delay.ms': '300' };

function clearingSoon(dir: string): Readonly<Record<string, string>> {
  return {
    MEMPLANE_BLOB_DIR: join(dir, 'blobs'),
    MEMPLANE_ARCHIVE_TICK_MS: '100',
    MEMPLANE_ARCHIVE_INTERVAL_MS: '300',
    MEMPLANE_SHARD_SNAPSHOT_EVENTS_MIN: '1',
    MEMPLANE_SHARD_SNAPSHOT_INTERVAL_MS: '300',
    MEMPLANE_ERASURE_TICK_MS: '100',
    MEMPLANE_ERASURE_TOPIC_TICK_MS: '300',
    MEMPLANE_VIEWS_REPEAT_DELAY_MS: '1000',
  };
}
