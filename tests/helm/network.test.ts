import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { SERVICES } from '@memplane/contracts';
import { parse } from 'yaml';
import { allows, type End } from './lib/network.ts';
import {
  chart,
  DISTRIBUTED,
  NAME,
  NAMESPACE,
  pods,
  render,
  renderFile,
  root,
} from './lib/render.ts';

// What NetworkPolicies let through, against who speaks to whom: by the access lists and components
// that sidecars have, and by the addresses that services are given.
const SIDECAR = 50_002;
const full = renderFile(join(chart, 'ci/full-values.yaml'));
const services = Object.keys(SERVICES);
const policies = full.all('NetworkPolicy');

const pod = (component: string, rendered = full): End => ({
  namespace: NAMESPACE,
  labels: pods(rendered).get(component)!['metadata']!['labels'] as unknown as Record<
    string,
    string
  >,
});
const agent: End = { namespace: 'agents', labels: { 'dapr.io/app-id': 'agent' } };
const stranger: End = { namespace: 'strangers', labels: { app: 'stranger' } };
const elsewhere = (address: string): End => ({ namespace: 'outside', labels: {}, address });
const can = (from: End, to: End, port: number, protocol = 'TCP') =>
  allows(policies, from, to, port, protocol);

/** Who may call whom, of dapr/config/. */
function callersOf(service: string): string[] {
  const { spec } = parse(readFileSync(join(root, `dapr/config/${service}.yaml`), 'utf8'));
  return spec.accessControl.policies.map(({ appId }: { appId: string }) => appId);
}

test('a sidecar reaches exactly the sidecars whose access lists name it', () => {
  for (const called of services) {
    const callers = callersOf(called);
    for (const caller of services) {
      // One that calls its like reaches them, as the list says.
      const isAllowed = can(pod(caller), pod(called), SIDECAR);
      assert.equal(isAllowed, callers.includes(caller), `${caller} → ${called}`);
    }
    assert.equal(can(agent, pod(called), SIDECAR), callers.includes('agent'), called);
    assert.equal(can(stranger, pod(called), SIDECAR), false, called);
  }
});

test('an application that is no agent of the values is none', () => {
  const namesake: End = { namespace: 'strangers', labels: { 'dapr.io/app-id': 'agent' } };
  for (const called of services) assert.equal(can(namesake, pod(called), SIDECAR), false);
  assert.equal(
    can(
      { namespace: 'planning', labels: { 'dapr.io/app-id': 'planner' } },
      pod('event-ingest'),
      SIDECAR,
    ),
    true,
  );
});

test('peers of the materializer and replicas of crdt-sync reach each other, nobody else does', () => {
  for (const from of [...services.map((name) => pod(name)), pod('check'), agent, stranger]) {
    const component = from.labels['app.kubernetes.io/component'];
    assert.equal(can(from, pod('materializer'), 7112), component === 'materializer');
    for (const protocol of ['TCP', 'UDP']) {
      assert.equal(can(from, pod('crdt-sync'), 7946, protocol), component === 'crdt-sync');
    }
  }
});

test('services are called past their sidecars by checks, operators and Prometheus alone', () => {
  const operator: End = { namespace: 'operators', labels: {} };
  const prometheus: End = { namespace: 'monitoring', labels: {} };
  const keda: End = { namespace: 'keda', labels: {} };
  for (const [service, { port }] of Object.entries(SERVICES)) {
    for (const from of [pod('check'), operator, prometheus]) {
      assert.equal(can(from, pod(service), port), true, service);
    }
    for (const from of [agent, stranger, ...services.map((name) => pod(name))]) {
      assert.equal(can(from, pod(service), port), false, service);
    }
    assert.equal(can(keda, pod(service), port), service === 'crdt-sync', service);
  }
  const { respPort } = SERVICES['crdt-sync'];
  assert.equal(can(operator, pod('crdt-sync'), respPort), true);
  assert.equal(can(prometheus, pod('crdt-sync'), respPort), false);
  assert.equal(can(agent, pod('crdt-sync'), respPort), false);
});

/** Stores by the component of components/ that names them, and by settings of services. */
const STORES: Readonly<
  Record<string, { readonly port: number; readonly users: readonly string[] }>
> = {
  kafka: { port: 9092, users: ['event-ingest', 'materializer', ...scopesOf('pubsub')] },
  etcd: { port: 2379, users: scopesOf('strong') },
  state: { port: 6379, users: scopesOf('state') },
  milvus: { port: 19_530, users: ['vector-index'] },
};

function scopesOf(component: string): string[] {
  const text = readFileSync(join(root, `components/${component}.yaml`), 'utf8');
  return parse(text).scopes.filter((scope: string) => scope !== 'agent');
}

test('services reach the stores that they or their sidecars use, and no others', () => {
  const kafka: End = { namespace: 'kafka', labels: {} };
  for (const [store, { port, users }] of Object.entries(STORES)) {
    for (const service of services) {
      const to = store === 'kafka' ? kafka : stranger;
      assert.equal(can(pod(service), to, port), users.includes(service), `${service} → ${store}`);
    }
  }
  assert.equal(can(pod('event-ingest'), stranger, 9092), false, 'Kafka is where values say');
  assert.equal(can(pod('materializer'), elsewhere('192.0.2.7'), 443), true, 'S3');
  assert.equal(can(pod('materializer'), elsewhere('198.51.100.7'), 443), false, 'S3');
  assert.equal(can(pod('vector-index'), elsewhere('198.51.100.7'), 443), true, 'the embedder');
  for (const service of ['event-ingest', 'crdt-sync']) {
    assert.equal(can(pod(service), elsewhere('192.0.2.7'), 443), false, service);
  }
  for (const service of services) assert.equal(can(pod(service), stranger, 4318), true, 'spans');
});

test('all reach the issuers of tenants’ tokens, where they are', () => {
  for (const service of services) {
    assert.equal(can(pod(service), elsewhere('203.0.113.7'), 443), true, service);
    assert.equal(can(pod(service), elsewhere('203.0.113.7'), 80), false, service);
  }
  assert.equal(can(pod('check'), elsewhere('203.0.113.7'), 443), false);
});

test('every component of components/ has its store in this table, or needs none', () => {
  const names = readdirSync(join(root, 'components')).map((file) => file.replace('.yaml', ''));
  assert.deepEqual(names.sort(), ['pubsub', 'reconcile-timer', 'secrets', 'state', 'strong']);
});

test('replicas reach Redis servers of their own where they have such', () => {
  const rendered = render(DISTRIBUTED, { 'redis.addresses': ['a:6401', 'b:6401', 'c:6402'] });
  const own = rendered.all('NetworkPolicy');
  for (const port of [6401, 6402]) {
    assert.equal(allows(own, pod('crdt-sync', rendered), stranger, port, 'TCP'), true);
    assert.equal(allows(own, pod('materializer', rendered), stranger, port, 'TCP'), false);
  }
  assert.equal(can(pod('crdt-sync'), stranger, 6379), false, 'its Redis is beside it');
});

test('all reach the DNS and, beside a sidecar, Dapr; nothing else', () => {
  const dns: End = { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } };
  const dapr: End = { namespace: 'dapr-system', labels: {} };
  for (const component of [...services, 'check']) {
    assert.equal(can(pod(component), dns, 53, 'UDP'), true, component);
    assert.equal(can(pod(component), { namespace: 'kube-system', labels: {} }, 53, 'UDP'), false);
    for (const port of [6500, 50_001, 50_005, 50_006]) {
      assert.equal(can(pod(component), dapr, port), component !== 'check', component);
    }
    for (const port of [22, 80, 5432, 6443]) {
      assert.equal(can(pod(component), stranger, port), false, `${component}: ${port}`);
    }
  }
});

test('the standalone plane is reached by operators, Prometheus and checks, and reaches only the DNS', () => {
  const rendered = renderFile(join(chart, 'ci/default-values.yaml'));
  const own = rendered.all('NetworkPolicy');
  const plane = pod('standalone', rendered);
  for (const port of [7101, 7102, 7103, 7104, 6390]) {
    assert.equal(allows(own, pod('check', rendered), plane, port, 'TCP'), true);
    assert.equal(allows(own, stranger, plane, port, 'TCP'), false);
  }
  for (const port of [443, 4318, 9092])
    assert.equal(allows(own, plane, stranger, port, 'TCP'), false);
});

test('without a policy everything is let through, and a rule that is missing is noticed', () => {
  assert.equal(allows([], stranger, pod('crdt-sync'), 1, 'TCP'), true);
  const fewer = policies.filter(
    ({ metadata }) => String(metadata?.['name']) !== `${NAME}-materializer`,
  );
  assert.equal(allows(fewer, pod('event-ingest'), pod('materializer'), SIDECAR, 'TCP'), false);
});
