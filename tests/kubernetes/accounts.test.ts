import assert from 'node:assert/strict';
import { test } from 'node:test';
import { list, NAMESPACE, pods, type Resource, render } from '../helm/lib/render.ts';
import { ApiProblem, type KubeApi } from './lib/api.ts';
import { cluster } from './lib/cluster.ts';
import { Release } from './lib/helm.ts';
import { Namespaces } from './lib/namespaces.ts';
import { makeVolumes, nameOf } from './lib/nodes.ts';
import { placedPods, podOf } from './lib/pods.ts';

// Nothing of the plane speaks to the cluster: its pods have no token, and a token of their accounts,
// made by somebody else, is good for nothing.
const { api, kubeconfig } = await cluster();
const IN_NAMESPACE = `/api/v1/namespaces/${NAMESPACE}`;
const ACCOUNTS = `${IN_NAMESPACE}/serviceaccounts`;
const BINDINGS = `/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}/rolebindings`;

/** What somebody would want who has got into a pod. */
const WISHES = [
  { verb: 'get', resource: 'secrets' },
  { verb: 'list', resource: 'secrets' },
  { verb: 'list', resource: 'configmaps' },
  { verb: 'list', resource: 'pods' },
  { verb: 'create', resource: 'pods' },
  { verb: 'create', resource: 'pods', subresource: 'exec' },
  { verb: 'create', resource: 'pods', subresource: 'eviction' },
  { verb: 'create', resource: 'serviceaccounts', subresource: 'token' },
  { verb: 'patch', group: 'apps', resource: 'statefulsets' },
  { verb: 'patch', group: 'apps', resource: 'deployments', subresource: 'scale' },
  { verb: 'list', group: 'dapr.io', resource: 'components' },
  { verb: 'update', group: 'dapr.io', resource: 'configurations' },
  { verb: 'delete', group: 'networking.k8s.io', resource: 'networkpolicies' },
  { verb: 'create', group: 'rbac.authorization.k8s.io', resource: 'rolebindings' },
  { verb: '*', group: '*', resource: '*' },
] as const;

/** Every authenticated user may ask who he is and what he may. */
const OF_ALL = /^selfsubject(access|rules)?reviews$/;

test('pods have no token, and their accounts may do nothing', async () => {
  await using _spaces = await Namespaces.make(api, NAMESPACE);
  await makeVolumes(api);
  using release = new Release(kubeconfig);
  await release.install('distributed');
  const running = await placedPods(api);
  assert.equal(running.length, 9);
  for (const { name, spec } of running) assert.deepEqual(tokensOf(spec), [], name);
  const accounts = (await api.list(ACCOUNTS)).map(nameOf).filter((name) => name !== 'default');
  assert.equal(accounts.length, 5, 'four services and what checks them');
  for (const account of accounts) {
    assert.deepEqual(await allowed(account), [], account);
    const holder = await holderOf(account);
    assert.deepEqual(await rulesOf(holder), [], account);
    for (const what of ['secrets', 'pods', 'configmaps']) {
      await assert.rejects(holder.list(`${IN_NAMESPACE}/${what}`), forbidden, account);
    }
  }
});

test('a right that was given to an account, and a token in a pod, would be seen', async () => {
  await using _spaces = await Namespaces.make(api, NAMESPACE);
  const rendered = render();
  for (const account of rendered.all('ServiceAccount')) await api.create(account);
  const account = 'm-memplane-standalone';
  await api.post(BINDINGS, {
    metadata: { name: 'planted' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'edit' },
    subjects: [{ kind: 'ServiceAccount', name: account, namespace: NAMESPACE }],
  });
  assert.ok((await allowed(account)).length >= 8);
  const holder = await holderOf(account);
  assert.ok((await rulesOf(holder)).includes('secrets'));
  await holder.list(`${IN_NAMESPACE}/secrets`);
  const planted = structuredClone(pods(rendered).get('standalone')!);
  Object.assign(planted['spec']!, { automountServiceAccountToken: true });
  const admitted = await api.create(podOf('x', planted), '?dryRun=All');
  assert.equal(tokensOf(admitted['spec']!).length, 1);
});

/** The volumes of a pod that hold a token for the cluster. */
function tokensOf(spec: Resource): string[] {
  return list(spec['volumes'])
    .filter(({ projected }) => {
      return list(projected?.['sources']).some((one) => one['serviceAccountToken'] !== undefined);
    })
    .map(({ name }) => String(name));
}

/** Those of the wishes that the API server would grant to an account. */
async function allowed(account: string): Promise<string[]> {
  const granted: string[] = [];
  for (const wish of WISHES) {
    const { status } = await api.post('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      spec: {
        user: `system:serviceaccount:${NAMESPACE}:${account}`,
        groups: [
          'system:serviceaccounts',
          `system:serviceaccounts:${NAMESPACE}`,
          'system:authenticated',
        ],
        resourceAttributes: { namespace: NAMESPACE, ...wish },
      },
    });
    if (String(status?.['allowed']) === 'true') granted.push(Object.values(wish).join(' '));
  }
  return granted;
}

/** The API, asked with a token of an account that is known to be good. */
async function holderOf(account: string): Promise<KubeApi> {
  const made = await api.post(`${ACCOUNTS}/${account}/token`, { spec: { expirationSeconds: 600 } });
  const holder = api.as(String(made['status']?.['token']));
  const self = await holder.post('/apis/authentication.k8s.io/v1/selfsubjectreviews', {});
  const user = String(self['status']?.['userInfo']?.['username']);
  assert.equal(user, `system:serviceaccount:${NAMESPACE}:${account}`);
  return holder;
}

/** What it may touch, by itself, beside what everybody may. */
async function rulesOf(holder: KubeApi): Promise<string[]> {
  const { status } = await holder.post('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', {
    spec: { namespace: NAMESPACE },
  });
  return list(status?.['resourceRules'])
    .flatMap((rule) => list(rule['resources']).map(String))
    .filter((resource) => !OF_ALL.test(resource));
}

function forbidden(error: unknown): boolean {
  return error instanceof ApiProblem && error.status === 403;
}
