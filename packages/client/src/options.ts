import { MemplaneError } from './errors.ts';

/** The services of a plane, by their app ids. */
export type ServiceName = 'event-ingest' | 'materializer' | 'crdt-sync' | 'vector-index';

export interface DaprOptions {
  /** The sidecar's HTTP endpoint, e.g. `http://127.0.0.1:3500`. */
  readonly endpoint: string;
  /** Sent as `dapr-api-token`. */
  readonly apiToken?: string;
  /** The pub/sub component of `agent-inbox`; `pubsub` by default. */
  readonly pubsub?: string;
}

export interface MemplaneOptions {
  /**
   * Where event-ingest answers; the other services are on the three ports after it. By default
   * `http://127.0.0.1:7101`. Give one of `url`, `urls` and `dapr`.
   */
  readonly url?: string;
  /** Where each service answers. */
  readonly urls?: Readonly<Record<ServiceName, string>>;
  /** Call through a Dapr sidecar. */
  readonly dapr?: DaprOptions;
  /** The plane's token (`MEMPLANE_TOKEN` there). */
  readonly token?: string;
  /** Whose tenant events belong to, for partition keys; `default` by default. */
  readonly tenant?: string;
  /** The `source` of events that name none. */
  readonly source?: string;
  /** Whether reads include everything this client has written; true by default. */
  readonly readYourWrites?: boolean;
  /** The longest that a call may take with all its repetitions, in milliseconds; 15,000. */
  readonly timeoutMs?: number;
  /** How long the plane may wait for a read to become right, in milliseconds; 2,000. */
  readonly waitMs?: number;
  /** Most repetitions of a call; 8. */
  readonly retries_max?: number;
  readonly backoffBaseMs?: number;
  readonly backoffMaxMs?: number;
  /** Largest batch of coalesced appends. */
  readonly batch_events_max?: number;
  readonly batch_bytes_max?: number;
  /** Batches under way at once. */
  readonly batches_in_flight_max?: number;
  /** Appends that may wait in this client; more are refused with `queue_full`. */
  readonly queue_events_max?: number;
  readonly queue_bytes_max?: number;
  /** Instead of the runtime's own. */
  readonly fetch?: typeof fetch;
}

export interface Settings {
  readonly bases: Readonly<Record<ServiceName, string>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly dapr: DaprOptions | undefined;
  readonly tenant: string;
  readonly source: string | undefined;
  readonly readYourWrites: boolean;
  readonly timeoutMs: number;
  readonly waitMs: number;
  readonly retries_max: number;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  readonly batch_events_max: number;
  readonly batch_bytes_max: number;
  readonly batches_in_flight_max: number;
  readonly queue_events_max: number;
  readonly queue_bytes_max: number;
  readonly fetch: typeof fetch;
}

const DEFAULT_URL = 'http://127.0.0.1:7101';
const ORDER: readonly ServiceName[] = ['event-ingest', 'materializer', 'crdt-sync', 'vector-index'];

export function resolveOptions(options: MemplaneOptions): Settings {
  const { dapr } = options;
  return {
    bases: basesOf(options),
    headers: {
      ...(options.token ? { authorization: `Bearer ${options.token}` } : {}),
      ...(dapr?.apiToken ? { 'dapr-api-token': dapr.apiToken } : {}),
    },
    dapr,
    tenant: options.tenant ?? 'default',
    source: options.source,
    readYourWrites: options.readYourWrites ?? true,
    timeoutMs: options.timeoutMs ?? 15_000,
    waitMs: options.waitMs ?? 2_000,
    retries_max: options.retries_max ?? 8,
    backoffBaseMs: options.backoffBaseMs ?? 50,
    backoffMaxMs: options.backoffMaxMs ?? 2_000,
    batch_events_max: Math.min(options.batch_events_max ?? 500, 1000),
    batch_bytes_max: Math.min(options.batch_bytes_max ?? 2 * 1024 * 1024, 7 * 1024 * 1024),
    batches_in_flight_max: options.batches_in_flight_max ?? 4,
    queue_events_max: options.queue_events_max ?? 20_000,
    queue_bytes_max: options.queue_bytes_max ?? 64 * 1024 * 1024,
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
  };
}

function basesOf(options: MemplaneOptions): Record<ServiceName, string> {
  const given = [options.url, options.urls, options.dapr].filter((one) => one !== undefined);
  if (given.length > 1) {
    throw new MemplaneError('invalid_argument', 'Give only one of url, urls and dapr.', {
      field: 'url',
    });
  }
  if (options.urls) {
    const { urls } = options;
    return mapServices((name) => parseUrl(urls[name], `urls.${name}`).href.replace(/\/$/, ''));
  }
  if (options.dapr) {
    const endpoint = parseUrl(options.dapr.endpoint, 'dapr.endpoint').href.replace(/\/$/, '');
    return mapServices((name) => `${endpoint}/v1.0/invoke/${name}/method`);
  }
  const url = parseUrl(options.url ?? DEFAULT_URL, 'url');
  const first = Number(url.port) || 7101;
  return mapServices((_name, i) => `${url.protocol}//${url.hostname}:${first + i}`);
}

function mapServices(make: (name: ServiceName, i: number) => string): Record<ServiceName, string> {
  const entries = ORDER.map((name, i) => [name, make(name, i)] as const);
  return Object.fromEntries(entries) as Record<ServiceName, string>;
}

function parseUrl(text: string, field: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new MemplaneError('invalid_argument', `${field} must be an http or https URL.`, {
      field,
    });
  }
  return url;
}
