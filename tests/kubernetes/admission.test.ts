import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  chart,
  NAMESPACE,
  pods,
  type Rendered,
  type Resource,
  renderFile,
} from '../helm/lib/render.ts';
import { cluster } from './lib/cluster.ts';
import { Namespaces, OTHER_NAMESPACES } from './lib/namespaces.ts';
import { nameOf } from './lib/nodes.ts';
import { podOf } from './lib/pods.ts';

// What a real API server says of each set of values: its validation, by the operators' kinds too, and
// its admission of the pods where only the restricted Pod Security Standard is allowed.
const { api } = await cluster();
const STRICT = '?dryRun=All&fieldValidation=Strict';
const sets = readdirSync(join(chart, 'ci')).sort();

for (const set of sets) {
  test(`${set}: the API server takes each resource, and warns of nothing`, async () => {
    await using _spaces = await Namespaces.make(api, NAMESPACE, ...OTHER_NAMESPACES);
    const rendered = renderFile(join(chart, 'ci', set));
    api.warnings.length = 0;
    const [first, others] = apart(rendered.resources);
    for (const resource of first) await takes(resource);
    const classes = await prerequisites(rendered);
    for (const resource of others) await takes(resource);
    assert.deepEqual(api.warnings, []);
    for (const path of classes) await api.delete(path);
  });

  test(`${set}: its pods fulfil the restricted Pod Security Standard, and no more than they do`, async () => {
    await using _spaces = await Namespaces.make(api, NAMESPACE);
    const rendered = renderFile(join(chart, 'ci', set));
    const classes = await prerequisites(rendered);
    for (const [component, template] of pods(rendered)) {
      await admits(component, template);
      for (const [violation, plant] of VIOLATIONS) {
        const planted = structuredClone(template) as unknown as Template;
        plant(planted);
        const words = new RegExp(`violates PodSecurity "restricted:latest": .*${violation}`);
        await assert.rejects(admits(component, planted as unknown as Resource), words, component);
      }
    }
    for (const path of classes) await api.delete(path);
  });
}

test('a misspelt field of any kind is found by the API server, and a wrong value', async () => {
  await using _spaces = await Namespaces.make(api, NAMESPACE, ...OTHER_NAMESPACES);
  const seen = new Set<string>();
  for (const resource of renderFile(join(chart, 'ci/full-values.yaml')).resources) {
    const kind = String(resource['kind']);
    if (seen.has(kind) || resource['spec'] === undefined) continue;
    seen.add(kind);
    const planted = structuredClone(resource) as unknown as { spec: object };
    Object.assign(planted.spec, { plantedByTheTest: true });
    await assert.rejects(takes(planted as unknown as Resource), /plantedByTheTest/, kind);
  }
  assert.ok(seen.size >= 12, [...seen].join(' '));
});

test('a value that only the server can judge is refused, and a doubtful one warned of', async () => {
  await using _spaces = await Namespaces.make(api, NAMESPACE);
  const rendered = renderFile(join(chart, 'ci/distributed-values.yaml'));
  const set = rendered.all('StatefulSet')[0]!;
  const unmatched = structuredClone(set) as unknown as { spec: { selector: object } };
  unmatched.spec.selector = { matchLabels: { app: 'another' } };
  await assert.rejects(takes(unmatched as unknown as Resource), /does not match/);
  const rooted = structuredClone(set) as unknown as { spec: { template: Template } };
  rooted.spec.template.spec.hostNetwork = true;
  api.warnings.length = 0;
  await takes(rooted as unknown as Resource);
  assert.match(api.warnings.join(), /would violate PodSecurity/);
});

interface Template {
  readonly spec: {
    hostNetwork?: boolean;
    readonly securityContext: object;
    readonly containers: { readonly securityContext: object }[];
    readonly volumes: object[];
  };
}

/** What a pod must not do, by the words of the refusal. */
const VIOLATIONS: readonly (readonly [string, (pod: Template) => void])[] = [
  ['privileged', (pod) => secure(pod, { privileged: true, allowPrivilegeEscalation: true })],
  ['allowPrivilegeEscalation != false', (pod) => secure(pod, { allowPrivilegeEscalation: true })],
  ['unrestricted capabilities', (pod) => secure(pod, { capabilities: { drop: ['NET_RAW'] } })],
  ['runAsNonRoot != true', (pod) => secure(pod, { runAsNonRoot: false })],
  ['runAsUser=0', (pod) => secure(pod, { runAsUser: 0 })],
  ['seccompProfile', (pod) => secure(pod, { seccompProfile: { type: 'Unconfined' } })],
  ['host namespaces', (pod) => Object.assign(pod.spec, { hostNetwork: true })],
  [
    'restricted volume types',
    (pod) => pod.spec.volumes.push({ name: 'x', hostPath: { path: '/' } }),
  ],
];

function secure({ spec }: Template, context: object): void {
  Object.assign(spec.containers[0]!.securityContext, context);
}

function takes(resource: Resource): Promise<Resource> {
  return api.create(resource, STRICT);
}

function admits(component: string, template: Resource): Promise<Resource> {
  return api.create(podOf(component, template), STRICT);
}

/** What pods need to be there, and all else. */
function apart(resources: readonly Resource[]): [Resource[], Resource[]] {
  const kinds = ['ServiceAccount', 'PriorityClass'];
  const first = resources.filter(({ kind }) => kinds.includes(String(kind)));
  return [first, resources.filter((resource) => !first.includes(resource))];
}

/** Pods are refused before their accounts and priority classes are there. Gives what is no namespace's. */
async function prerequisites(rendered: Rendered): Promise<string[]> {
  for (const account of rendered.all('ServiceAccount')) await api.create(account);
  const classes = rendered.all('PriorityClass');
  for (const one of classes) await api.create(one);
  return classes.map((one) => `/apis/scheduling.k8s.io/v1/priorityclasses/${nameOf(one)}`);
}
