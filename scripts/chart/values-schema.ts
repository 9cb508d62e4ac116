import { SETTINGS as CRDT_SYNC_SETTINGS } from '@memplane/crdt-sync';
import { INGEST_SETTINGS } from '@memplane/event-ingest';
import { MATERIALIZER_SETTINGS } from '@memplane/materializer';
import type { Setting } from '@memplane/runtime';
import { VECTOR_INDEX_SETTINGS } from '@memplane/vector-index';
import { STANDALONE_SETTINGS } from '../../packages/standalone/src/plane/settings.ts';
import {
  bool,
  choice,
  closed,
  kubernetes,
  list,
  type Schema,
  string,
  texts,
  whole,
} from './json-schema.ts';

type Settings = Readonly<Record<string, Setting<unknown>>>;

/** What each process of the chart knows, by the key of its values. */
export const SETTINGS_OF: Readonly<Record<string, Settings>> = {
  standalone: {
    ...prefixed('i', INGEST_SETTINGS),
    ...prefixed('m', MATERIALIZER_SETTINGS),
    ...prefixed('c', CRDT_SYNC_SETTINGS),
    ...prefixed('v', VECTOR_INDEX_SETTINGS),
    ...STANDALONE_SETTINGS,
  },
  eventIngest: INGEST_SETTINGS,
  materializer: MATERIALIZER_SETTINGS,
  crdtSync: CRDT_SYNC_SETTINGS,
  vectorIndex: VECTOR_INDEX_SETTINGS,
};

/** What the chart sets itself, from other values, fields of the pod, and secrets. */
export const OWN_SETTINGS: ReadonlySet<string> = new Set([
  ...['MEMPLANE_HOST', 'MEMPLANE_TOKEN', 'MEMPLANE_OPERATOR_TOKEN', 'APP_API_TOKEN'],
  ...['MEMPLANE_EVENT_INGEST_PORT', 'MEMPLANE_MATERIALIZER_PORT', 'MEMPLANE_CRDT_SYNC_PORT'],
  ...['MEMPLANE_VECTOR_INDEX_PORT', 'MEMPLANE_RESP_PORT', 'MEMPLANE_GOSSIP_PORT'],
  ...['MEMPLANE_LOG_LEVEL', 'OTEL_EXPORTER_OTLP_ENDPOINT', 'MEMPLANE_INSTANCE'],
  ...['MEMPLANE_DRAIN_TIMEOUT_MS', 'MEMPLANE_START_TIMEOUT_MS', 'MEMPLANE_EMBEDDING_DIMENSIONS'],
  ...['MEMPLANE_KAFKA_BROKERS', 'MEMPLANE_KAFKA_TOPIC', 'MEMPLANE_PARTITIONS'],
  ...['MEMPLANE_KAFKA_DELIVERY_DEADLINE_MS', 'MEMPLANE_CLOCK_DRIFT_MS'],
  ...['MEMPLANE_TIME_CUT_SETTLE_MS', 'MEMPLANE_MATERIALIZER_DIR', 'MEMPLANE_LOG_DIR'],
  ...['MEMPLANE_MATERIALIZER_PEER_PORT', 'MEMPLANE_MATERIALIZER_PEER_URL', 'MEMPLANE_PEER_TOKEN'],
  ...['MEMPLANE_MATERIALIZER_GROUP', 'MEMPLANE_CRDT_SYNC_URL', 'MEMPLANE_MATERIALIZER_URL'],
  ...['MEMPLANE_BLOB_DIR', 'MEMPLANE_S3_ENDPOINT', 'MEMPLANE_S3_BUCKET', 'MEMPLANE_S3_REGION'],
  ...['MEMPLANE_DATA_DIR', 'MEMPLANE_REDIS_URL', 'MEMPLANE_REDIS_PASSWORD'],
  ...['MEMPLANE_REDIS_APPENDFSYNC', 'MEMPLANE_REPLICA_ID', 'MEMPLANE_REPLICA_SET'],
  ...['MEMPLANE_GOSSIP_JOIN', 'MEMPLANE_GOSSIP_HOST', 'MEMPLANE_GOSSIP_ADVERTISE'],
  ...['MEMPLANE_GOSSIP_KEYS', 'MEMPLANE_CLUSTER', 'MEMPLANE_VECTOR_INDEX_DIR'],
  ...['MEMPLANE_MILVUS_ADDRESS', 'MEMPLANE_MILVUS_TOKEN', 'MEMPLANE_EMBEDDER_URL'],
  ...['MEMPLANE_EMBEDDER_MODEL', 'MEMPLANE_EMBEDDER_KEY', 'MEMPLANE_ETCD_ENDPOINTS'],
  ...['MEMPLANE_ZONES', 'MEMPLANE_SEALING_KEYS', 'MEMPLANE_TENANTS'],
  // A secret, which nobody needs here: services call each other by their sidecars, or within one pod.
  'MEMPLANE_PLANE_TOKEN',
]);

const NAME = '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$';
const OR_EMPTY = (pattern: string) => `^$|${pattern}`;
const ADDRESS = '^[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?:[0-9]{1,5}$';
const URL = '^https?://[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[^ ]*)?$';
const SECURE_URL = URL.replace('s?', 's');
const QUANTITY = '^[0-9]+(\\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$';
const HOUR_MS = 3_600_000;

const amounts = (description: string) =>
  closed(description, {
    cpu: string('Processors, e.g. `500m`', QUANTITY),
    memory: string('Memory, e.g. `512Mi`', QUANTITY),
  });
const resources = () =>
  closed('What a container may use', {
    requests: amounts('What it is promised'),
    limits: amounts('What it never exceeds'),
  });
const persistence = (what: string) =>
  closed(`The volume of ${what}`, {
    size: string('Its size. No upgrade changes it: docs/operations.md has the steps', QUANTITY),
    storageClass: string(
      'Its storage class; empty: the default one of the cluster. No upgrade changes it',
      OR_EMPTY(NAME),
    ),
  });
const drainTimeoutMs = () =>
  whole('Longest drain; the grace period of the pod is made to fit it', 100, 600_000);
const startTimeoutMs = () =>
  whole(
    'Longest start, with the wait for sidecar and stores; then the pod is started anew',
    10_000,
    HOUR_MS,
  );
/** As docs/consistency.md has it. */
const zoneRule: Schema = {
  description: 'A rule',
  type: 'object',
  additionalProperties: false,
  required: ['match', 'consistency'],
  properties: {
    match: string('`kind/id`, with `*` for anything', '^[A-Za-z0-9._~@*-]+/[A-Za-z0-9._~@*-]+$'),
    consistency: choice('What is promised', ['strong', 'eventual']),
    sealed: bool('Whether what is said of them is sealed'),
  },
};
const peers = (who: string) => kubernetes(`NetworkPolicyPeers: ${who}`);

function settings(key: string): Schema {
  const properties: Record<string, Schema> = {};
  for (const { env, description } of Object.values(SETTINGS_OF[key] ?? {})) {
    if (OWN_SETTINGS.has(env)) continue;
    properties[env] = { description, type: ['string', 'integer', 'boolean'] };
  }
  return {
    description:
      'Further settings, by the names of docs/reference/settings.md that the chart does not set itself',
    type: 'object',
    additionalProperties: false,
    properties,
  };
}

const service = (
  what: string,
  key: string,
  replicas: Schema | undefined,
  more: Record<string, Schema>,
) =>
  closed(what, {
    ...(replicas === undefined ? {} : { replicas }),
    resources: resources(),
    drainTimeoutMs: drainTimeoutMs(),
    startTimeoutMs: startTimeoutMs(),
    settings: settings(key),
    ...more,
  });

const stateful = (what: string, folder: string, key: string) =>
  service(what, key, whole('Pods, where they do not scale by themselves', 1, 100), {
    persistence: persistence(folder),
  });

const lagScaling = (what: string) =>
  closed(`Scaling of ${what} by its lag (KEDA); never beyond the partitions`, {
    enabled: bool('Whether it scales'),
    min: whole('Fewest pods', 1, 100),
    max: whole('Most pods; at most `kafka.partitions`', 1, 100),
    lag: whole('Records behind the log for each pod', 1, 100_000_000),
  });

const VALUES = closed('Values of the chart', {
  shape: choice(
    '`standalone`: one pod, one volume, no server to install. `distributed`: four services beside Dapr sidecars; Kafka, etcd, Milvus and S3 storage are named below',
    ['standalone', 'distributed'],
  ),
  nameOverride: string('Takes the place of `memplane` in names', OR_EMPTY(NAME)),
  fullnameOverride: string('The beginning of all names', OR_EMPTY(NAME)),
  image: closed('Images, of docker-bake.hcl', {
    repository: string(
      'Registry and folder of the images, e.g. `registry.example/memplane`',
      '^[a-z0-9][-a-z0-9._/:]*[a-z0-9]$',
    ),
    tag: string('Empty: the version of the chart', '^$|^[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}$'),
    pullPolicy: choice('When they are pulled', ['Always', 'IfNotPresent', 'Never']),
    pullSecrets: list('Names of secrets for the registry', { type: 'string', pattern: NAME }),
  }),
  secrets: closed('Secrets are made beforehand, NOTES.txt says how; none is ever a value', {
    prefix: string('What their names begin with', NAME),
  }),
  logLevel: choice('Level of the logs of all services', ['debug', 'info', 'warn', 'error']),
  embeddingDimensions: whole('Dimensions of every embedding', 1, 4096),
  clockDriftMs: whole('How far clocks may be apart', 0, HOUR_MS),
  clusterDomain: string('Domain of the cluster', '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$'),
  zones: closed(
    'Consistency zones, a file that event-ingest reads again when it changes. All pods of event-ingest have it, or none',
    {
      enabled: bool('Whether there are zones; sealing in the distributed shape needs them'),
      rules: list(
        'Rules, of which the first that matches counts; what none matches is eventual',
        zoneRule,
      ),
    },
  ),
  sealing: closed('Sealing of entities, and in the distributed shape their erasure', {
    enabled: bool(
      'Whether the file of master keys, which is in a secret, is mounted into event-ingest. Once something is sealed it stays on',
    ),
  }),
  tenants: closed('Tenants', {
    enabled: bool(
      'Whether callers are told apart: the file of tenants, which is in a secret, is mounted into all services. With sealing all entities are sealed then',
    ),
    issuers: list('`jwksUrl`s of that file, for the NetworkPolicies', {
      type: 'string',
      pattern: SECURE_URL,
    }),
  }),
  standalone: service('The one pod of the standalone shape', 'standalone', undefined, {
    persistence: persistence('the plane'),
  }),
  eventIngest: service(
    'event-ingest',
    'eventIngest',
    whole('Pods, where they do not scale by themselves', 1, 100),
    {},
  ),
  materializer: stateful('materializer', 'the views of each pod', 'materializer'),
  crdtSync: service(
    'crdt-sync, each pod a replica; their number is the denominator of quorums',
    'crdtSync',
    whole('Replicas: an odd number keeps its majority longest', 1, 15),
    {
      cluster: string(
        'Name of the cluster; replicas of others are not heard',
        '^[A-Za-z0-9._~:@-]{1,128}$',
      ),
    },
  ),
  vectorIndex: service(
    'vector-index',
    'vectorIndex',
    whole('Pods, where they do not scale by themselves', 1, 100),
    {
      persistence: persistence('the index of each pod'),
      embedder: closed('Makes vectors of texts that have none', {
        url: string(
          'OpenAI-compatible endpoint, up to /v1; empty: none. Its key is in a secret',
          OR_EMPTY(URL),
        ),
        model: string('Model that it is asked for'),
      }),
    },
  ),
  redis: closed('The Redis of each replica of crdt-sync', {
    addresses: {
      ...list(
        'One `host:port` for each replica, in order, no two the same; empty: each pod has a Redis beside it, with a volume of its own',
        { type: 'string', pattern: ADDRESS },
      ),
      uniqueItems: false,
    },
    image: string(
      'Image of the Redis beside it: 7 or newer',
      '^[^\\s:]+(:[0-9]+/[^\\s:]+)?:[^\\s:]+(@sha256:[0-9a-f]{64})?$',
    ),
    appendfsync: choice(
      '`always`: what was acknowledged is on disk; `everysec`: a crash may lose the last second',
      ['always', 'everysec'],
    ),
    resources: resources(),
    persistence: persistence('each Redis'),
  }),
  kafka: closed('The log', {
    brokers: list('`host:port` of brokers; needed in the distributed shape', {
      type: 'string',
      pattern: ADDRESS,
    }),
    partitions: whole('Partitions that the log began with; never changed afterwards', 1, 4096),
    deliveryDeadlineMs: whole('How long an append is tried', 100, 120_000),
    topics: closed('Topics, as Strimzi KafkaTopics', {
      create: bool('Whether the chart has them'),
      apiVersion: choice('Version of kafka.strimzi.io that the operator serves', ['v1beta2', 'v1']),
      cluster: string('Name of the Kafka resource', OR_EMPTY(NAME)),
      namespace: string(
        'Where the topic operator looks for them; empty: the namespace of the release',
        OR_EMPTY(NAME),
      ),
      replicas: whole('Replicas of each partition', 1, 15),
      minInsyncReplicas: whole(
        'How many must have a record before it is acknowledged; less than the replicas, or one broker gone stops all',
        1,
        15,
      ),
      eventsRetentionMs: whole(
        '-1: the plane itself moves the start of agent-events, once what goes is archived and verified. Any other number hands that to Kafka: what is not archived by then is lost for good',
        -1,
        Number.MAX_SAFE_INTEGER,
      ),
    }),
    users: closed(
      'Rights in Kafka, as Strimzi KafkaUsers with certificates. The services and sidecars do not authenticate themselves to Kafka yet: they are for what stands between, e.g. a proxy that does',
      {
        create: bool('Whether the chart has them'),
      },
    ),
  }),
  etcd: closed('Keeps the `strong` state; without TLS, a name or certificates', {
    endpoints: list(
      '`host:port` of its members; needed in the distributed shape. Of all of them, and not of a service before them, where anything is sealed: an erasure clears each',
      {
        type: 'string',
        pattern: ADDRESS,
      },
    ),
  }),
  state: closed('Keeps the record of recent ids, which may be forgotten', {
    redisAddress: string(
      '`host:port` of a Redis; needed in the distributed shape',
      OR_EMPTY(ADDRESS),
    ),
  }),
  milvus: closed('Indexes the vectors', {
    address: string('`host:port`; needed in the distributed shape', OR_EMPTY(ADDRESS)),
    authenticated: bool('Whether it asks for `user:password`, which is in a secret'),
  }),
  s3: closed('Keeps the archive', {
    endpoint: string(
      'URL of the storage; its keys are in a secret. Needed in the distributed shape',
      OR_EMPTY(URL),
    ),
    bucket: string('Bucket', '^[a-z0-9][-a-z0-9.]{1,61}[a-z0-9]$'),
    region: string('Region', '^[a-z0-9-]+$'),
  }),
  telemetry: closed('Traces', {
    otlpEndpoint: string('Where spans are sent (OTLP over HTTP); empty: nowhere', OR_EMPTY(URL)),
    samplingRate: {
      description: 'Share of traces that begin at sidecars and are kept',
      type: 'number',
      minimum: 0,
      maximum: 1,
    },
  }),
  dapr: closed('Sidecars', {
    controlPlaneNamespace: string('Where Dapr is installed', NAME),
    trustDomain: string('Trust domain of all applications', '^[A-Za-z0-9.-]+$'),
    logLevel: choice('Level of the logs of sidecars', ['debug', 'info', 'warn', 'error']),
    agents: list(
      'Applications that may use the plane',
      closed('An application', {
        appId: string('Its Dapr app id', NAME),
        namespace: string('Its namespace', NAME),
      }),
    ),
    resources: resources(),
  }),
  autoscaling: closed('KEDA ScaledObjects', {
    prometheusAddress: string(
      'URL of Prometheus, for scaling by events a second; empty: by processor alone',
      OR_EMPTY(URL),
    ),
    eventIngest: closed('Scaling of event-ingest by load', {
      enabled: bool('Whether it scales'),
      min: whole('Fewest pods', 1, 100),
      max: whole('Most pods', 1, 100),
      cpuPercent: whole('Share of the requested processors', 1, 100),
      eventsPerSecond: whole('Events a second for each pod', 1, 1_000_000),
    }),
    materializer: lagScaling('the materializer'),
    vectorIndex: lagScaling(
      'vector-index (each pod keeps a whole index: more pods answer more searches)',
    ),
    agents: closed('An example: agents of yours, scaled by the counter `active_sessions`', {
      enabled: bool('Whether they scale'),
      kind: choice('What they are', ['Deployment', 'StatefulSet']),
      name: string('Its name, in the namespace of the release', OR_EMPTY(NAME)),
      min: whole('Fewest pods', 0, 1000),
      max: whole('Most pods', 1, 1000),
      sessions: whole('Active sessions for each pod', 1, 1_000_000),
    }),
  }),
  podDisruptionBudgets: closed('PodDisruptionBudgets: one pod of each service at a time', {
    enabled: bool('Whether the chart has them'),
  }),
  networkPolicy: closed('NetworkPolicies: all is denied but what is spoken', {
    enabled: bool('Whether the chart has them'),
    operators: peers('who may call services directly, with the token'),
    prometheus: peers('who may read metrics; empty: nobody'),
    keda: peers('KEDA, for `autoscaling.agents`'),
    dns: peers('the DNS of the cluster; empty: any pod of kube-system'),
    to: closed('Where stores are; empty: anywhere, at their port', {
      kafka: peers('Kafka'),
      etcd: peers('etcd'),
      state: peers('the Redis of `state`'),
      redis: peers('the ones of `redis.addresses`'),
      milvus: peers('Milvus'),
      s3: peers('S3 storage'),
      telemetry: peers('the collector of spans'),
      embedder: peers('the embedder'),
      issuers: peers('the ones of `tenants.issuers`'),
    }),
  }),
  monitoring: closed('For the Prometheus operator and Grafana, from ops/', {
    serviceMonitor: closed('Reads /metrics of all services', {
      enabled: bool('Whether the chart has it'),
      intervalSeconds: whole('How often', 5, 300),
      labels: texts('Labels that Prometheus looks for'),
    }),
    rules: closed('Alerts', {
      enabled: bool('Whether the chart has them'),
      labels: texts('Labels that Prometheus looks for'),
    }),
    dashboard: closed('Dashboard, in a ConfigMap', {
      enabled: bool('Whether the chart has it'),
      labels: texts('Labels that Grafana looks for'),
    }),
  }),
  reconciliation: closed(
    'A CronJob that compares all replicas of crdt-sync, changes nothing, and fails where they differ',
    {
      enabled: bool('Whether the chart has it'),
      schedule: string('When, as cron has it', '^(\\S+ ){4}\\S+$'),
    },
  ),
  scheduling: closed('Where pods run', {
    nodeSelector: texts('Labels of their nodes'),
    tolerations: kubernetes('Tolerations'),
    topologyKey: string('What pods of a service are spread over', '^[A-Za-z0-9./-]+$'),
    whenUnsatisfiable: choice('Where they can not be', ['ScheduleAnyway', 'DoNotSchedule']),
    priorityClass: closed('Their priority', {
      create: bool('Whether the chart has the class; needs the right to make one'),
      name: string('Its name; empty: none, or the release with `create`', OR_EMPTY(NAME)),
      value: whole('Its value', -2_147_483_648, 1_000_000_000),
    }),
  }),
  serviceAccount: closed('ServiceAccounts, one for each service, without a token', {
    annotations: texts('Annotations'),
  }),
  podAnnotations: texts('Annotations of all pods'),
  preStopSeconds: whole(
    'How long a pod that ends goes on serving, until nobody is sent to it any more',
    0,
    120,
  ),
});

/** Every value of the chart. */
export const VALUES_SCHEMA: Schema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Memplane',
  ...VALUES,
  properties: {
    // Set by charts that have this one as a part.
    global: { description: 'Not read', type: 'object' },
    ...VALUES.properties,
  },
};

function prefixed(prefix: string, settings: Settings): Settings {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [prefix + name, value]),
  );
}
