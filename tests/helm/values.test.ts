import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { Schema } from '../../scripts/chart/json-schema.ts';
import { VALUES_SCHEMA } from '../../scripts/chart/values-schema.ts';
import { chart, type Rendered, render, type Values } from './lib/render.ts';

// No value without an effect: each one, changed alone, changes what is rendered, and only resources
// of the kinds that it should.
const full: Values = parse(readFileSync(join(chart, 'ci/full-values.yaml'), 'utf8'));
const single: Values = parse(readFileSync(join(chart, 'ci/standalone-values.yaml'), 'utf8'));
const defaults: Values = parse(readFileSync(join(chart, 'values.yaml'), 'utf8'));
const baseOf = (path: string): Values => (path.startsWith('standalone.') ? single : full);
const bases = new Map<Values, Rendered>([
  [full, render(full)],
  [single, render(single)],
]);

/** Another text for a value that only some texts may be. */
const OTHERS: Readonly<Record<string, unknown>> = {
  nameOverride: 'other',
  fullnameOverride: 'other',
  clusterDomain: 'other.local',
  'secrets.prefix': 'other',
  'image.repository': 'other.example.com/memplane',
  'image.tag': '9.9.9',
  'image.pullSecrets': ['other'],
  'crdtSync.cluster': 'other',
  'vectorIndex.embedder.url': 'https://other.example.com/v1',
  'vectorIndex.embedder.model': 'other',
  'redis.addresses': ['a:6379', 'b:6379', 'c:6379'],
  'autoscaling.materializer.max': 11,
  'redis.image': 'docker.io/library/redis:8.0.0',
  'kafka.brokers': ['other:9094'],
  'kafka.topics.cluster': 'other',
  'kafka.topics.namespace': 'other',
  'etcd.endpoints': ['other:2380'],
  'zones.rules': [{ match: 'other/*', consistency: 'strong' }],
  'tenants.issuers': ['https://other.example.com:8443/jwks'],
  'state.redisAddress': 'other:6380',
  'milvus.address': 'other:19531',
  's3.endpoint': 'http://other:9000',
  's3.bucket': 'other',
  's3.region': 'other',
  'telemetry.otlpEndpoint': 'http://other:4319',
  'telemetry.samplingRate': 0.5,
  'dapr.controlPlaneNamespace': 'other',
  'dapr.trustDomain': 'other',
  'dapr.agents': [{ appId: 'other', namespace: 'other' }],
  'autoscaling.prometheusAddress': 'http://other:9090',
  'autoscaling.agents.name': 'other',
  // The others are what values of the full set are not.
  'autoscaling.materializer.min': 1,
  'reconciliation.schedule': '1 1 * * *',
  'scheduling.topologyKey': 'other',
  'scheduling.priorityClass.name': 'other',
};
const PEERS = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'other' } } }];

/** What shows in a set of values of its own only. */
const NEEDS: Readonly<Record<string, Values>> = {
  shape: {
    'autoscaling.eventIngest.enabled': false,
    'autoscaling.materializer.enabled': false,
    'autoscaling.vectorIndex.enabled': false,
    'autoscaling.agents.enabled': false,
    'kafka.topics.create': false,
    'kafka.users.create': false,
    'reconciliation.enabled': false,
  },
  'zones.enabled': { 'zones.rules': [], 'sealing.enabled': false },
  'sealing.enabled': { 'zones.rules': [] },
  'tenants.enabled': { 'tenants.issuers': [] },
  'networkPolicy.to.redis': { 'redis.addresses': ['a:6379', 'b:6379', 'c:6379'] },
  'eventIngest.replicas': { 'autoscaling.eventIngest.enabled': false },
  'materializer.replicas': { 'autoscaling.materializer.enabled': false },
  'vectorIndex.replicas': { 'autoscaling.vectorIndex.enabled': false },
};

/** Values of one kind of resource, by the beginning of their path. */
const ONLY: Readonly<Record<string, readonly string[]>> = {
  'networkPolicy.': ['NetworkPolicy'],
  'podDisruptionBudgets.': ['PodDisruptionBudget'],
  'monitoring.serviceMonitor.': ['ServiceMonitor'],
  'monitoring.rules.': ['PrometheusRule'],
  'monitoring.dashboard.': ['ConfigMap'],
  'kafka.topics.': ['KafkaTopic', 'KafkaUser'],
  'kafka.users.': ['KafkaUser'],
  'zones.rules': ['ConfigMap'],
  'sealing.': ['Deployment'],
  'tenants.issuers': ['NetworkPolicy'],
  'reconciliation.': ['CronJob'],
  'serviceAccount.': ['ServiceAccount'],
  'eventIngest.': ['Deployment'],
  'materializer.': ['StatefulSet'],
  'autoscaling.agents.': ['ScaledObject', 'TriggerAuthentication', 'NetworkPolicy'],
};

// A third of them in CI, another one each day; all with MEMPLANE_TEST_SCALE=soak.
const isWhole = process.env['MEMPLANE_TEST_SCALE'] === 'soak';
const seed = Number(process.env['MEMPLANE_TEST_SEED'] ?? Math.floor(Date.now() / 86_400_000));
const every = isWhole ? 1 : 3;

test('values are drawn', (t) => {
  t.diagnostic(`every ${every} of ${leaves('', VALUES_SCHEMA).length} values: seed ${seed}`);
});

for (const [i, [path, schema]] of leaves('', VALUES_SCHEMA).entries()) {
  if ((i + seed) % every !== 0) continue;
  test(`${path} has an effect`, () => {
    const needs = NEEDS[path];
    const base = baseOf(path);
    const before = needs === undefined ? bases.get(base)! : render(base, needs);
    const changed = { [path]: otherOf(path, schema, base) };
    const after = render(base, ...(needs === undefined ? [] : [needs]), changed);
    const kinds = changedKinds(before, after);
    assert.ok(kinds.size > 0, `${JSON.stringify(changed)} changes nothing`);
    const only = Object.entries(ONLY).find(([beginning]) => path.startsWith(beginning))?.[1];
    if (only !== undefined)
      assert.deepEqual(
        [...kinds].filter((kind) => !only.includes(kind)),
        [],
      );
  });
}

test('an effect that is not there would be noticed', () => {
  assert.equal(changedKinds(bases.get(full)!, render(full)).size, 0);
});

/** By the texts, which is ten times as fast as by what they say. */
function changedKinds(before: Rendered, after: Rendered): Set<string> {
  const [a, b] = [before, after].map(({ text }) => new Set(text.split(/^---\n/m)));
  const changed = [...a!, ...b!].filter((text) => !(a!.has(text) && b!.has(text)));
  return new Set(changed.map((text) => /^kind: (\w+)$/m.exec(text)?.[1] ?? ''));
}

/** Another value than the base's that the schema takes. */
function otherOf(path: string, schema: Schema, base: Values): unknown {
  if (path in OTHERS) return OTHERS[path];
  if (path.startsWith('networkPolicy.') && schema.type === 'array') return PEERS;
  if (path.endsWith('.size') || path.endsWith('.memory')) {
    return path.includes('.limits.') ? '7Gi' : '7Mi';
  }
  if (path.endsWith('.cpu')) return path.includes('.limits.') ? '7' : '7m';
  if (path.endsWith('.storageClass')) return 'other';
  const own = at(base, path) ?? at(defaults, path);
  if (schema.type === 'boolean') return own !== true;
  if (schema.type === 'integer') return Number(own) + 1;
  if (schema.type === 'object') return { 'example.com/other': 'yes' };
  if (schema.type === 'array') return [{ key: 'other', operator: 'Exists' }];
  const choices = schema['enum'];
  if (Array.isArray(choices)) return choices.find((choice) => choice !== own);
  throw new Error(`no other value is known for ${path}`);
}

function at(values: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((part, key) => (part as Record<string, unknown> | undefined)?.[key], values);
}

function leaves(path: string, schema: Schema): [string, Schema][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, inner]): [string, Schema][] => {
    const key = path === '' ? name : `${path}.${name}`;
    // Settings are tried with what they become: variables of pods.
    if (key === 'global' || name === 'settings') return [];
    return inner.properties === undefined ? [[key, inner]] : leaves(key, inner);
  });
}
