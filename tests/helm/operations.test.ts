import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SERVICES, TOPICS } from '@memplane/contracts';
import { parse } from 'yaml';
import {
  chart,
  DISTRIBUTED,
  list,
  NAME,
  named,
  pods,
  type Resource,
  render,
  renderFile,
  root,
} from './lib/render.ts';

// What scales, watches and protects the plane: only by what the services really have.
const full = renderFile(join(chart, 'ci/full-values.yaml'));
const standalone = renderFile(join(chart, 'ci/standalone-values.yaml'));
const openapi = (service: string) =>
  JSON.parse(readFileSync(join(root, `docs/reference/openapi-${service}.json`), 'utf8'));
const plainly = (part: unknown): unknown => JSON.parse(JSON.stringify(part));
const trigger = (object: Resource, type: string) =>
  list(object['spec']!['triggers']).find((each) => String(each['type']) === type)!['metadata']!;

test('what scales by itself has no number of pods, and the others have', () => {
  for (const object of full.all('ScaledObject')) {
    const { kind, name } = object['spec']!['scaleTargetRef']!;
    if (String(name) === 'agents') continue;
    assert.equal(full.get(String(kind), String(name))['spec']!['replicas'], undefined);
  }
  assert.equal(full.get('StatefulSet', `${NAME}-crdt-sync`)['spec']!['replicas'] as unknown, 3);
  const plain = render(DISTRIBUTED);
  assert.equal(plain.all('ScaledObject').length, 0);
  for (const name of ['materializer', 'vector-index']) {
    assert.equal(plain.get('StatefulSet', `${NAME}-${name}`)['spec']!['replicas'] as unknown, 2);
  }
});

test('event-ingest scales by its processors, and by events that Prometheus has', () => {
  const object = full.get('ScaledObject', `${NAME}-event-ingest`);
  const container = String(trigger(object, 'cpu')['containerName']);
  named(pods(full).get('event-ingest')!['spec']!['containers'], container);
  const query = String(trigger(object, 'prometheus')['query']);
  const [metric = ''] = /memplane_\w+/.exec(query) ?? [];
  // A stack test holds the dashboard's metrics against those of running services.
  assert.ok(readFileSync(join(root, 'ops/grafana/memplane.json'), 'utf8').includes(metric), metric);
  assert.match(query, /job="event-ingest",namespace="mem"/);
  const alone = render(DISTRIBUTED, { 'autoscaling.eventIngest.enabled': true }).get(
    'ScaledObject',
    `${NAME}-event-ingest`,
  );
  assert.deepEqual(
    list(alone['spec']!['triggers']).map(({ type }) => String(type)),
    ['cpu'],
  );
});

test('the readers scale by the lag of the groups that they really are, within the partitions', () => {
  const settings = readFileSync(join(root, 'docs/reference/settings.md'), 'utf8');
  for (const service of ['materializer', 'vector-index']) {
    const object = full.get('ScaledObject', `${NAME}-${service}`);
    const { consumerGroup, topic, allowIdleConsumers } = trigger(object, 'kafka');
    assert.equal(String(topic), TOPICS.events);
    assert.equal(String(allowIdleConsumers), 'false');
    assert.ok(Number(object['spec']!['maxReplicaCount']) <= 12);
    if (service === 'materializer') {
      assert.match(settings, new RegExp(`MEMPLANE_MATERIALIZER_GROUP\` \\| \`${consumerGroup}\``));
    } else {
      // Dapr's group of a subscription is the app id.
      const annotations = pods(full).get(service)!['metadata']!['annotations']!;
      assert.equal(String(consumerGroup), String(annotations['dapr.io/app-id']));
    }
  }
});

test('agents scale by a counter that crdt-sync serves, with the token that it takes', () => {
  const { metadata, authenticationRef } = list(
    full.get('ScaledObject', `${NAME}-agents`)['spec']!['triggers'],
  )[0]!;
  const url = new URL(String(metadata!['url']));
  const [service = ''] = url.hostname.split('.');
  named(full.get('Service', service)['spec']!['ports'], 'http');
  assert.equal(Number(url.port), SERVICES['crdt-sync'].port);
  const { paths, components } = openapi('crdt-sync');
  const [, name] = /^\/v1\/counters\/(\w+)$/.exec(url.pathname) ?? [];
  assert.ok(paths['/v1/counters/{name}'].get);
  assert.ok(components.schemas.Counter.properties[String(metadata!['valueLocation'])]);
  assert.match(
    readFileSync(join(root, 'services/materializer/README.md'), 'utf8'),
    new RegExp(`\`${name}\``),
  );
  const reference = full.get('TriggerAuthentication', String(authenticationRef!['name']));
  const [secret] = list(reference['spec']!['secretTargetRef']);
  const token = named(
    named(pods(full).get('crdt-sync')!['spec']!['containers'], 'crdt-sync')['env'],
    'MEMPLANE_TOKEN',
  );
  const own = token['valueFrom']!['secretKeyRef']!;
  assert.deepEqual([secret!['name'], secret!['key']], [own['name'], own['key']]);
});

test('a disruption takes one pod of a service at a time, and never blocks the one pod', () => {
  for (const service of Object.keys(SERVICES)) {
    const budget = full.get('PodDisruptionBudget', `${NAME}-${service}`)['spec']!;
    assert.equal(budget['maxUnavailable'] as unknown, 1);
    const labels = pods(full).get(service)!['metadata']!['labels']!;
    for (const [name, value] of Object.entries(budget['selector']!['matchLabels']!)) {
      assert.equal(String(labels[name]), String(value));
    }
  }
  assert.equal(standalone.all('PodDisruptionBudget').length, 0);
});

test('metrics are read from every service, under its name, with the token', () => {
  for (const rendered of [full, standalone]) {
    const { spec } = rendered.all('ServiceMonitor')[0]!;
    const jobs = new Set<string>();
    for (const endpoint of list(spec!['endpoints'])) {
      assert.equal(String(endpoint['path']), '/metrics');
      const { name, key } = endpoint['authorization']!['credentials']!;
      assert.deepEqual([String(name), String(key)], ['memplane-operator', 'token']);
      const matched = rendered.all('Service').filter(({ metadata, spec: service }) => {
        const labels = { ...metadata!['labels'] } as Record<string, unknown>;
        const isSelected = Object.entries(spec!['selector']!['matchLabels']!).every(
          ([label, value]) => String(labels[label]) === String(value),
        );
        return (
          isSelected && list(service!['ports']).some((port) => port['name'] === endpoint['port'])
        );
      });
      assert.ok(matched.length > 0, String(endpoint['port']));
      const [relabeling] = list(endpoint['relabelings']);
      if (relabeling) jobs.add(String(relabeling['replacement']));
      else
        for (const { metadata } of matched)
          jobs.add(String(metadata!['labels']!['app.kubernetes.io/component']));
    }
    assert.deepEqual(jobs, new Set(Object.keys(SERVICES)));
  }
});

test('alerts and dashboard are those of ops/', () => {
  const own = parse(readFileSync(join(root, 'ops/prometheus/rules.yaml'), 'utf8'));
  assert.deepEqual(plainly(full.get('PrometheusRule', NAME)['spec']), own);
  const { data, metadata } = full.get('ConfigMap', `${NAME}-dashboard`);
  assert.equal(
    String(data!['memplane.json']),
    readFileSync(join(root, 'ops/grafana/memplane.json'), 'utf8'),
  );
  assert.equal(String(metadata!['labels']!['grafana_dashboard']), '1');
});

test('checks know where every service is', () => {
  for (const rendered of [full, standalone, render()]) {
    const { containers } = pods(rendered).get('check')!['spec']!;
    const env = list(list(containers)[0]!['env']);
    const urls = env.filter(({ name }) => /^CHECK_.*_URL$/.test(String(name)));
    assert.equal(urls.length, 4);
    for (const [service, { port }] of Object.entries(SERVICES)) {
      const name = `CHECK_${service.toUpperCase().replaceAll('-', '_')}_URL`;
      const url = new URL(String(urls.find((each) => String(each['name']) === name)!['value']));
      assert.equal(Number(url.port), port);
      const { ports } = rendered.get('Service', url.hostname)['spec']!;
      assert.ok(list(ports).some((each) => Number(each['port']) === port));
    }
  }
});

test('replicas are compared one by one, by names that stand for single pods', () => {
  const { containers } = pods(full).get('compare')!['spec']!;
  const [{ env } = {}] = list(containers);
  const urls = String(named(env, 'CHECK_REPLICA_URLS')['value']).split(',');
  assert.equal(urls.length, 3);
  for (const [i, url] of urls.entries()) {
    const [pod, service = ''] = new URL(url).hostname.split('.');
    assert.equal(pod, `${NAME}-crdt-sync-${i}`);
    assert.equal(
      String(full.get('StatefulSet', `${NAME}-crdt-sync`)['spec']!['serviceName']),
      service,
    );
    assert.equal(String(full.get('Service', service)['spec']!['clusterIP']), 'None');
  }
  assert.ok(openapi('crdt-sync').paths['/v1/reconciliations'].post);
});

test('the notes name the secrets that pods need, and what is left to do', () => {
  const dir = mkdtempSync(join(tmpdir(), 'memplane-notes-'));
  try {
    cpSync(chart, dir, { recursive: true });
    // Helm shows notes only when it installs; as a file of the chart they are rendered like others.
    cpSync(join(chart, 'templates/NOTES.txt'), join(dir, 'files/notes.txt'));
    const show =
      'kind: Notes\nmetadata: { name: notes }\ntext: {{ tpl (.Files.Get "files/notes.txt") . | toJson }}\n';
    writeFileSync(join(dir, 'templates/notes.yaml'), show);
    for (const [set, rendered] of [
      ['full', full],
      ['standalone', standalone],
    ] as const) {
      const file = join(chart, `ci/${set}-values.yaml`);
      const notes = String(renderFile(file, dir).get('Notes', 'notes')['text']);
      for (const [, pod] of pods(rendered)) {
        for (const container of [
          ...list(pod['spec']!['containers']),
          ...list(pod['spec']!['initContainers']),
        ]) {
          for (const { valueFrom } of list(container['env'])) {
            const secret = valueFrom?.['secretKeyRef'];
            if (secret === undefined || String(secret['optional']) === 'true') continue;
            const name = String(secret['name']);
            const words = name.replace(
              /-(event-ingest|materializer|crdt-sync|vector-index)-(api|app)$/,
              '-$service-$side',
            );
            assert.ok(notes.includes(`secret generic ${words} `), `${set}: ${name}`);
          }
        }
      }
      assert.match(notes, /helm test m -n mem/);
    }
    assert.match(
      String(renderFile(join(chart, 'ci/full-values.yaml'), dir).get('Notes', 'notes')['text']),
      /everysec|last second/,
    );
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('every governing service is there, and selects the pods', () => {
  for (const rendered of [full, standalone]) {
    for (const { spec } of rendered.all('StatefulSet')) {
      const service = rendered.get('Service', String(spec!['serviceName']));
      assert.deepEqual(
        plainly(service['spec']!['selector']),
        plainly(spec!['selector']!['matchLabels']),
      );
    }
  }
});

test('pods are spread, and have the priority of the values', () => {
  for (const [component, pod] of pods(full)) {
    const spec = pod['spec']!;
    assert.equal(String(spec['priorityClassName']), NAME, component);
    full.get('PriorityClass', NAME);
    assert.equal(String(spec['nodeSelector']!['kubernetes.io/os']), 'linux');
    assert.equal(list(spec['tolerations']).length, 1);
    if (component === 'check' || component === 'compare') continue;
    const [spread] = list(spec['topologySpreadConstraints']);
    assert.equal(String(spread!['whenUnsatisfiable']), 'DoNotSchedule');
    const labels = pod['metadata']!['labels']!;
    for (const [name, value] of Object.entries(spread!['labelSelector']!['matchLabels']!)) {
      assert.equal(String(labels[name]), String(value));
    }
  }
});
