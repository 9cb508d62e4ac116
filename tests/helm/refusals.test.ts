import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DISTRIBUTED, refusal, type Values } from './lib/render.ts';

// Wrong values are refused before anything is applied, with words that name the value.

/** Of any shape, by the schema: a path, and what it must not be. */
const WRONG: readonly (readonly [string, unknown])[] = [
  ['shape', 'clustered'],
  ['shap', 'standalone'],
  ['nameOverride', 'Upper'],
  ['nameOverride', 'a'.repeat(64)],
  ['fullnameOverride', 'under_score'],
  ['image.repository', 'Registry/Upper Case'],
  ['image.tag', 'a tag'],
  ['image.pullPolicy', 'Sometimes'],
  ['image.pullSecrets', 'registry'],
  ['image.digest', 'sha256:00'],
  ['secrets.prefix', ''],
  ['secrets.token', 'in-plain-sight'],
  ['logLevel', 'chatty'],
  ['embeddingDimensions', 0],
  ['embeddingDimensions', '768'],
  ['clockDriftMs', -1],
  ['clusterDomain', '.local'],
  ['zones', [{ match: 'a/*', consistency: 'strong' }]],
  ['zones.file', 'zones.yaml'],
  ['zones.rules', [{ match: 'patient', consistency: 'strong' }]],
  ['zones.rules', [{ match: 'patient/*' }]],
  ['zones.rules', [{ match: 'patient/*', consistency: 'eventually' }]],
  ['zones.rules', [{ match: 'patient/*', consistency: 'eventual', sealed: 'yes' }]],
  ['sealing.enabled', 'yes'],
  ['sealing.keys', 'k1:in-plain-sight'],
  ['tenants.tokens', [{ name: 'acme', tenant: 'acme' }]],
  ['tenants.issuers', ['http://id.example.com/jwks']],
  ['standalone.settings.MEMPLANE_PLANE_TOKEN', 'in-plain-sight'],
  ['eventIngest.settings.MEMPLANE_ETCD_ENDPOINTS', 'elsewhere:2379'],
  ['eventIngest.settings.MEMPLANE_SEALING_KEYS', '/tmp/keys'],
  ['standalone.replicas', 2],
  ['standalone.resources.limits.cpu', 'two'],
  ['standalone.resources.limits.memory', 2048],
  ['standalone.resources.requests.disk', '1Gi'],
  ['standalone.persistence.size', 'large'],
  ['standalone.persistence.enabled', false],
  ['standalone.drainTimeoutMs', 1],
  ['standalone.startTimeoutMs', 500],
  ['standalone.settings.MEMPLANE_RECENT_IDS', 10],
  ['standalone.settings.MEMPLANE_TOKEN', 'in-plain-sight'],
  ['eventIngest.replicas', 0],
  ['eventIngest.replicas', 1.5],
  ['eventIngest.persistence', { size: '1Gi' }],
  ['eventIngest.settings.MEMPLANE_MATERIALIZER_DIR', '/tmp'],
  ['materializer.replicas', 1000],
  ['materializer.resources', null],
  ['materializer.settings.MEMPLANE_KAFKA_BROKERS', 'elsewhere:9092'],
  ['materializer.settings.MEMPLANE_FEED_WAIT_MS', [1]],
  ['crdtSync.replicas', 16],
  ['crdtSync.cluster', 'two words'],
  ['vectorIndex.embedder.url', 'models.example.com'],
  ['vectorIndex.embedder.key', 'in-plain-sight'],
  ['redis.addresses', ['redis']],
  ['redis.image', 'redis'],
  ['redis.image', 'redis:'],
  ['redis.appendfsync', 'no'],
  ['redis.password', 'in-plain-sight'],
  ['kafka.brokers', 'kafka:9092'],
  ['kafka.brokers', ['kafka']],
  ['kafka.brokers', ['kafka:9092', 'kafka:9092']],
  ['kafka.partitions', 0],
  ['kafka.deliveryDeadlineMs', 1],
  ['kafka.topics.apiVersion', 'v1alpha1'],
  ['kafka.topics.replicas', 0],
  ['kafka.topics.minInsyncReplicas', '2'],
  ['kafka.topics.eventsRetentionMs', -2],
  ['etcd.endpoints', ['http://etcd:2379']],
  ['state.redisAddress', 'redis://redis:6379'],
  ['milvus.address', 'milvus'],
  ['milvus.token', 'root:Milvus'],
  ['s3.endpoint', 's3.example.com'],
  ['s3.bucket', 'A'],
  ['s3.secretKey', 'in-plain-sight'],
  ['telemetry.samplingRate', 2],
  ['telemetry.otlpEndpoint', 'collector:4318'],
  ['dapr.trustDomain', 'a domain'],
  ['dapr.agents', ['agent']],
  ['dapr.agents', [{ appId: 'agent' }]],
  ['dapr.agents', [{ appId: 'Agent', namespace: 'agents' }]],
  ['autoscaling.prometheusAddress', 'prometheus'],
  ['autoscaling.eventIngest.cpuPercent', 101],
  ['autoscaling.crdtSync', { enabled: true }],
  ['autoscaling.agents.kind', 'DaemonSet'],
  ['podDisruptionBudgets.enabled', 'yes'],
  ['networkPolicy.operators', { namespaceSelector: {} }],
  ['networkPolicy.to.postgres', []],
  ['networkPolicy.to.issuers', ['id.example.com']],
  ['monitoring.serviceMonitor.intervalSeconds', 1],
  ['monitoring.rules.labels', { release: 1 }],
  ['reconciliation.schedule', 'nightly'],
  ['scheduling.whenUnsatisfiable', 'Maybe'],
  ['scheduling.priorityClass.value', 2_000_000_000],
  ['serviceAccount.automountServiceAccountToken', true],
  ['podAnnotations', { count: 1 }],
  ['preStopSeconds', 600],
];

for (const [path, value] of WRONG) {
  test(`${path} = ${JSON.stringify(value)} is refused`, () => {
    assertNames(refusal({ [path]: value }), path);
  });
}

const SEALED = [{ match: 'patient/*', consistency: 'eventual', sealed: true }];

/** What values must not be together, and the one that the message begins with. */
const TOGETHER: readonly (readonly [string, Values, base?: Values])[] = [
  ['kafka.brokers', { kafka: { brokers: [] } }, DISTRIBUTED],
  ['etcd.endpoints', { etcd: { endpoints: [] } }, DISTRIBUTED],
  ['state.redisAddress', { 'state.redisAddress': '' }, DISTRIBUTED],
  ['milvus.address', { 'milvus.address': '' }, DISTRIBUTED],
  ['s3.endpoint', { 's3.endpoint': '' }, DISTRIBUTED],
  ['zones.enabled', { 'zones.rules': [{ match: 'a/*', consistency: 'strong' }] }],
  ['zones.enabled', { 'sealing.enabled': true }, DISTRIBUTED],
  ['sealing.enabled', { zones: { enabled: true, rules: SEALED } }],
  ['tenants.enabled', { 'tenants.issuers': ['https://id.example.com/jwks'] }],
  ['redis.addresses', { 'redis.addresses': ['a:1', 'b:1'] }, DISTRIBUTED],
  ['redis.addresses', { 'redis.addresses': ['a:1', 'b:1', 'a:1'] }, DISTRIBUTED],
  ['state.redisAddress', { 'redis.addresses': ['a:1', 'b:1', 'redis.redis:6379'] }, DISTRIBUTED],
  ['dapr.agents', { 'dapr.agents': [{ appId: 'crdt-sync', namespace: 'a' }] }, DISTRIBUTED],
  [
    'dapr.agents',
    { 'dapr.agents': ['a', 'b'].map((namespace) => ({ appId: 'x', namespace })) },
    DISTRIBUTED,
  ],
  ['autoscaling.eventIngest.min', { 'autoscaling.eventIngest': { min: 9, max: 8 } }, DISTRIBUTED],
  ['autoscaling.materializer.max', { 'autoscaling.materializer.max': 13 }, DISTRIBUTED],
  ['autoscaling.vectorIndex.max', { 'autoscaling.vectorIndex.max': 13 }, DISTRIBUTED],
  ['autoscaling.agents.min', { 'autoscaling.agents': { min: 5, max: 4 } }, DISTRIBUTED],
  ['autoscaling.agents.name', { 'autoscaling.agents.enabled': true }, DISTRIBUTED],
  ['materializer.replicas', { 'materializer.replicas': 13 }, DISTRIBUTED],
  ['kafka.topics.cluster', { 'kafka.topics.create': true }, DISTRIBUTED],
  ['kafka.topics.cluster', { 'kafka.users.create': true }, DISTRIBUTED],
  ['kafka.topics.minInsyncReplicas', { 'kafka.topics.minInsyncReplicas': 4 }, DISTRIBUTED],
  [
    'vectorIndex.embedder.model',
    { 'vectorIndex.embedder.url': 'https://m.example.com/v1' },
    DISTRIBUTED,
  ],
  [
    'materializer.resources.requests.memory',
    { 'materializer.resources': { requests: { memory: '3Gi' } } },
    DISTRIBUTED,
  ],
  [
    'redis.resources.requests.cpu',
    { 'redis.resources': { requests: { cpu: '1100m' } } },
    DISTRIBUTED,
  ],
  [
    'dapr.resources.requests.memory',
    { 'dapr.resources': { requests: { memory: '1024M' } } },
    DISTRIBUTED,
  ],
  ['standalone.resources.requests.cpu', { 'standalone.resources': { requests: { cpu: '3' } } }],
  ['autoscaling.eventIngest.enabled', { 'autoscaling.eventIngest.enabled': true }],
  ['autoscaling.agents.enabled', { 'autoscaling.agents.enabled': true }],
  ['kafka.topics.create', { 'kafka.topics.create': true }],
  ['kafka.users.create', { 'kafka.users.create': true }],
  ['reconciliation.enabled', { 'reconciliation.enabled': true }],
];

for (const [name, values, base] of TOGETHER) {
  test(`${JSON.stringify(values)} is refused for ${name}`, () => {
    const words = refusal(...(base === undefined ? [] : [base]), values);
    assert.ok(words !== undefined, 'it was taken');
    assert.ok(words.includes(`${name}: `), words);
  });
}

test('at least fifty wrong values are tried', () => {
  assert.ok(WRONG.length + TOGETHER.length >= 50);
});

/** The schema's words have the path with slashes; of what there is not, its name beside its place. */
function assertNames(words: string | undefined, path: string): void {
  assert.ok(words !== undefined, 'it was taken');
  const keys = path.split('.');
  const place = `/${keys.slice(0, -1).join('/')}`.replace(/\/$/, '');
  const last = keys.at(-1);
  const isNamed =
    words.includes(`'/${keys.join('/')}`) ||
    (words.includes(`'${place}'`) && words.includes(`'${last}'`));
  assert.ok(isNamed, words);
}
