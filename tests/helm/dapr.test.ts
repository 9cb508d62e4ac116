import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { DEFAULT_PARTITIONS, TOPICS as NAMES } from '@memplane/contracts';
import { TOPICS } from '@memplane/stack';
import { parse } from 'yaml';
import {
  chart,
  DISTRIBUTED,
  list,
  NAMESPACE,
  named,
  pods,
  type Resource,
  render,
  renderFile,
  root,
} from './lib/render.ts';

// Components, rights and limits mean in the cluster what they mean on one machine.
const full = renderFile(join(chart, 'ci/full-values.yaml'));
const plain = render(DISTRIBUTED);
const local = (path: string): Resource => parse(readFileSync(join(root, path), 'utf8'));
const pathsOf = (pattern: string) => globSync(pattern, { cwd: root }).sort();
const AGENTS = ['agent', 'planner'];
const plainly = (part: unknown): unknown => JSON.parse(JSON.stringify(part));

test('every component is there, with its own type, and scoped', () => {
  for (const path of pathsOf('components/*.yaml')) {
    const name = basename(path, '.yaml');
    const component = full.get('Component', name);
    assert.ok(list(component['scopes']).length > 0, name);
    assert.equal(String(component['metadata']!['namespace']), NAMESPACE);
    if (name === 'secrets') continue;
    const own = local(path);
    assert.deepEqual(plainly(component['spec']!['type']), plainly(own['spec']!['type']));
    assert.deepEqual(plainly(component['spec']!['version']), plainly(own['spec']!['version']));
    const names = (resource: Resource) =>
      list(resource['spec']!['metadata']).map(({ name }) => String(name));
    assert.deepEqual(names(component), names(own), name);
    for (const [i, item] of list(own['spec']!['metadata']).entries()) {
      if (item['envRef'] ?? item['secretKeyRef']) continue;
      if (/Scopes$/.test(String(item['name']))) continue;
      assert.deepEqual(plainly(list(component['spec']!['metadata'])[i]), plainly(item), name);
    }
  }
});

test('components have the addresses of the values', () => {
  const value = (component: string, name: string) =>
    String(named(full.get('Component', component)['spec']!['metadata'], name)['value']);
  assert.equal(
    value('pubsub', 'brokers'),
    'kafka-0.kafka:9092,kafka-1.kafka:9092,kafka-2.kafka:9093',
  );
  assert.equal(value('state', 'redisHost'), 'recent-ids.redis:6379');
  assert.equal(value('strong', 'endpoints'), 'etcd-0.etcd:2379,etcd-1.etcd:2379,etcd-2.etcd:2379');
  assert.doesNotMatch(full.text, /envRef/);
});

test('topics are opened to the agents of the values, and to no others', () => {
  const scopes = (rendered: typeof full, name: string) =>
    String(named(rendered.get('Component', 'pubsub')['spec']!['metadata'], name)['value']).split(
      ';',
    );
  for (const name of ['publishingScopes', 'subscriptionScopes']) {
    const own = String(named(local('components/pubsub.yaml')['spec']!['metadata'], name)['value']);
    const [ofAgent = ''] = own.split(';').filter((part) => part.startsWith('agent='));
    const others = own.split(';').filter((part) => part !== ofAgent);
    assert.deepEqual(
      new Set(scopes(full, name)),
      new Set([...others, ...AGENTS.map((agent) => ofAgent.replace('agent', agent))]),
    );
    assert.deepEqual(new Set(scopes(plain, name)), new Set(others));
  }
  assert.ok(!list(plain.get('Component', 'pubsub')['scopes']).map(String).includes('agent'));
});

test('the archive’s keys are in a file that the materializer’s sidecar alone has', () => {
  const store = full.get('Component', 'secrets');
  assert.deepEqual(plainly(store['scopes']), ['materializer']);
  const path = String(named(store['spec']!['metadata'], 'secretsFile')['value']);
  for (const [component, pod] of pods(full)) {
    const mounts = pod['metadata']!['annotations']?.['dapr.io/volume-mounts'];
    if (component !== 'materializer') assert.equal(mounts, undefined, component);
    else {
      const [volume = '', folder] = String(mounts).split(':');
      const secret = named(pod['spec']!['volumes'], volume)['secret']!;
      const [{ path: file } = {}] = list(secret['items']);
      assert.equal(`${folder}/${file}`, path);
    }
  }
});

test('each application has one Configuration: what all share, and its own', () => {
  const { spec: common } = local('dapr/config/common.yaml');
  for (const path of pathsOf('dapr/config/*.yaml')) {
    const name = basename(path, '.yaml');
    if (name === 'common' || name === 'local') continue;
    const own = local(path)['spec']!;
    const { spec } = full.get('Configuration', name);
    for (const part of ['api', 'secrets'])
      assert.deepEqual(plainly(spec![part]), plainly(own[part]));
    assert.deepEqual(plainly(spec!['features']), plainly(common!['features']));
    assert.equal(spec!['mtls']!['enabled'] as unknown, true);
    assert.equal(String(spec!['accessControl']!['defaultAction']), 'deny');
    assert.deepEqual(
      rights(spec!['accessControl']!),
      rights(own['accessControl']!)
        .flatMap((right) =>
          right.startsWith('agent@')
            ? AGENTS.map((agent) => right.replace('agent', agent))
            : [right],
        )
        .sort(),
    );
  }
});

/** What each may do, e.g. `agent@: GET /v1/search`; namespaces are judged apart. */
function rights(accessControl: Resource): string[] {
  return list(accessControl['policies'])
    .flatMap(({ appId, defaultAction, operations }) => {
      assert.equal(String(defaultAction), 'deny');
      return list(operations).map(
        ({ name, httpVerb, action }) => `${appId}@ ${action} ${list(httpVerb)} ${name}`,
      );
    })
    .sort();
}

test('a caller is believed in its own namespace alone', () => {
  for (const configuration of full.all('Configuration')) {
    for (const { appId, namespace, trustDomain } of list(
      configuration['spec']!['accessControl']!['policies'],
    )) {
      const own = { agent: 'agents', planner: 'planning' }[String(appId)] ?? NAMESPACE;
      assert.equal(String(namespace), own);
      assert.equal(String(trustDomain), 'public');
    }
  }
  assert.equal(String(full.get('Configuration', 'planner')['metadata']!['namespace']), 'planning');
});

test('subscriptions and resiliency are the same, letter by letter', () => {
  for (const path of pathsOf('dapr/resources/*.yaml')) {
    const own = local(path);
    const there = full.get(String(own['kind']), String(own['metadata']!['name']));
    assert.deepEqual(plainly(there['spec']), plainly(own['spec']));
    assert.deepEqual(plainly(there['scopes'] ?? []), plainly(own['scopes'] ?? []));
    assert.equal(String(there['apiVersion']), String(own['apiVersion']));
  }
});

test('a change of components, rights or limits starts sidecars anew', () => {
  const digest = (rendered: typeof full) =>
    String(pods(rendered).get('crdt-sync')!['metadata']!['annotations']!['memplane/dapr-digest']);
  assert.equal(digest(plain), digest(render(DISTRIBUTED)));
  const other = render(DISTRIBUTED, { 'dapr.agents': [{ appId: 'a', namespace: 'b' }] });
  assert.notEqual(digest(plain), digest(other));
});

test('spans go from sidecars where they go from services', () => {
  const { otel, samplingRate } = full.get('Configuration', 'materializer')['spec']!['tracing']!;
  assert.deepEqual(plainly(otel), {
    endpointAddress: 'collector.telemetry:4318',
    isSecure: false,
    protocol: 'http',
  });
  assert.equal(String(samplingRate), '0.05');
  assert.equal(plain.get('Configuration', 'materializer')['spec']!['tracing']!['otel'], undefined);
});

test('topics are those of one machine, with three replicas', () => {
  const topics = full.all('KafkaTopic');
  assert.equal(topics.length, TOPICS.length);
  for (const { name, partitions, configs } of TOPICS) {
    const topic = full.get('KafkaTopic', name);
    const { replicas, partitions: there, config } = topic['spec']!;
    assert.equal(there as unknown, partitions);
    assert.equal(replicas as unknown, 3);
    const own = { 'min.insync.replicas': '2', 'unclean.leader.election.enable': 'false' };
    assert.deepEqual(plainly(config), { ...own, ...configs });
    assert.equal(String(topic['metadata']!['annotations']!['helm.sh/resource-policy']), 'keep');
  }
  assert.equal(
    full.get('KafkaTopic', NAMES.events)['spec']!['partitions'] as unknown,
    DEFAULT_PARTITIONS,
  );
});

test('Kafka can be given the retention back', () => {
  const values = { 'kafka.topics': { create: true, cluster: 'c', eventsRetentionMs: 86_400_000 } };
  const { config } = render(DISTRIBUTED, values).get('KafkaTopic', NAMES.events)['spec']!;
  assert.equal(config!['retention.ms'] as unknown, '86400000');
});

test('users may do what components and services do with topics, and no more', () => {
  const may: Record<string, Record<string, string[]>> = {};
  for (const user of full.all('KafkaUser')) {
    const name = String(user['metadata']!['name']).replace('m-memplane-', '');
    const rightsOfUser: Record<string, string[]> = {};
    for (const { resource, operations } of list(user['spec']!['authorization']!['acls'])) {
      if (String(resource!['type']) === 'topic') {
        rightsOfUser[String(resource!['name'])] = list(operations).map(String);
      }
    }
    may[name] = rightsOfUser;
  }
  const scopes = (name: string) =>
    Object.fromEntries(
      String(named(local('components/pubsub.yaml')['spec']!['metadata'], name)['value'])
        .split(';')
        .map((part) => part.trim().split('='))
        .map(([app = '', topics = '']) => [app, topics.split(',').filter(Boolean)]),
    );
  for (const [app, topics] of Object.entries(may)) {
    const publishes = scopes('publishingScopes')[app] ?? [];
    const subscribes = scopes('subscriptionScopes')[app] ?? [];
    for (const topic of publishes) assert.ok(topics[topic]?.includes('Write'), `${app}: ${topic}`);
    for (const topic of subscribes) assert.ok(topics[topic]?.includes('Read'), `${app}: ${topic}`);
    const writes = Object.keys(topics).filter((topic) => topics[topic]?.includes('Write'));
    const ownLog = app === 'event-ingest' ? [NAMES.events] : [];
    assert.deepEqual(new Set(writes), new Set([...publishes, ...ownLog]), app);
  }
  assert.ok(may['materializer']?.[NAMES.events]?.includes('Delete'), 'it moves the log’s start');
});
