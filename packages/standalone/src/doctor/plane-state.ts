import type { IndexStatus, ServiceName } from '@memplane/contracts';
import type { ShardStates } from '../backup/plane-reads.ts';
import { documentOf, type PlaneAnswer, type PlaneHttp } from '../operate/plane-http.ts';

export interface DoctorSettings {
  /** Entities whose views and memories are compared with their history. */
  readonly sample_entities: number;
  /** Events that a shard or the index may be behind. */
  readonly lag_events_max: number;
  /** At which appends are refused, in bytes; 0: never. */
  readonly archive_lag_bytes_max: number;
  /** Where the plane keeps its data, if it is on this machine. */
  readonly dataDir: string;
  /** What this command is. */
  readonly version: string;
}

/** What `/readyz` answered. */
export interface Readiness {
  readonly status: number;
  readonly headers: PlaneAnswer['headers'];
  readonly tookMs: number;
  /** On this machine's clock, when the answer had begun. */
  readonly answeredAtMs: number;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What a plane says of itself, each thing asked for once, when a check first looks at it. */
export class PlaneState {
  readonly http: PlaneHttp;
  readonly settings: DoctorSettings;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly #asked = new Map<string, Promise<unknown>>();

  constructor(http: PlaneHttp, settings: DoctorSettings, now: () => number) {
    this.http = http;
    this.settings = settings;
    this.now = now;
  }

  /** @throws MemplaneError `network` where the service does not answer */
  readiness(service: ServiceName): Promise<Readiness> {
    return this.#once(`readiness ${service}`, async () => {
      const { status, headers, body, tookMs } = await this.http.call(service, '/readyz');
      const answeredAtMs = this.now();
      const details = (await documentOf(body).catch(() => ({}))) as Record<string, unknown>;
      return { status, headers, tookMs, answeredAtMs, details };
    });
  }

  shards(): Promise<ShardStates> {
    return this.#once('shards', () => this.freshShards());
  }

  freshShards(): Promise<ShardStates> {
    return this.http.json<ShardStates>('materializer', '/v1/shards');
  }

  index(): Promise<IndexStatus> {
    return this.#once('index', () => this.freshIndex());
  }

  freshIndex(): Promise<IndexStatus> {
    return this.http.json<IndexStatus>('vector-index', '/v1/index');
  }

  #once<T>(what: string, ask: () => Promise<T>): Promise<T> {
    const asked = this.#asked.get(what) ?? ask();
    this.#asked.set(what, asked);
    asked.catch(() => {}); // whoever looks at it is told
    return asked as Promise<T>;
  }
}
