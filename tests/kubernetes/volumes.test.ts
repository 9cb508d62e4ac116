import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '@memplane/testkit';
import { list, NAME, NAMESPACE, type Values } from '../helm/lib/render.ts';
import { cluster } from './lib/cluster.ts';
import { Release } from './lib/helm.ts';
import { Namespaces } from './lib/namespaces.ts';
import { makeVolumes } from './lib/nodes.ts';
import { readyPods } from './lib/pods.ts';

// A StatefulSet keeps the volumes that it was made with: the chart says so, and docs/operations.md how
// to grow them all the same.
const { api, kubeconfig } = await cluster();
const SETS = `/apis/apps/v1/namespaces/${NAMESPACE}/statefulsets`;
const CLAIM = `/api/v1/namespaces/${NAMESPACE}/persistentvolumeclaims/data-${NAME}-standalone-0`;
const GONE_MS = 60_000;
const GROWN: Values = { 'standalone.persistence': { size: '30Gi' } };

test('another size or class of volumes is refused by its name, and nothing is changed', async () => {
  await using _spaces = await Namespaces.make(api, NAMESPACE);
  await makeVolumes(api);
  using release = new Release(kubeconfig);
  await release.install('default');
  const before = await api.get(`${SETS}/${NAME}-standalone`);
  const also = { logLevel: 'debug' };
  await assert.rejects(
    release.upgrade('default', { ...GROWN, ...also }),
    /standalone\.persistence\.size: m-memplane-standalone has volumes of 20Gi, and would have 30Gi/,
  );
  await assert.rejects(
    release.upgrade('default', { 'standalone.persistence.storageClass': 'fast', ...also }),
    /standalone\.persistence\.storageClass: m-memplane-standalone has volumes of "", and would have "fast"/,
  );
  assert.deepEqual(await api.get(`${SETS}/${NAME}-standalone`), before);
  assert.deepEqual(await release.history(), ['deployed']);
  // The same in other words, and what is no volume's, is taken.
  await release.upgrade('default', { 'standalone.persistence.size': '20480Mi', ...also });
});

test('the steps of docs/operations.md grow a volume, and replace no pod', async () => {
  await using _spaces = await Namespaces.make(api, NAMESPACE);
  await makeVolumes(api);
  using release = new Release(kubeconfig);
  await release.install('default');
  const [pod] = await readyPods(api, { standalone: 1 });
  await api.patch(CLAIM, { spec: { resources: { requests: { storage: '30Gi' } } } });
  await api.delete(`${SETS}/${NAME}-standalone?propagationPolicy=Orphan`);
  await eventually('the StatefulSet is gone', GONE_MS, async () =>
    (await api.list(SETS)).length === 0 ? true : undefined,
  );
  await release.upgrade('default', GROWN);

  const { spec } = await api.get(`${SETS}/${NAME}-standalone`);
  const [template] = list(spec?.['volumeClaimTemplates']);
  assert.equal(String(template?.['spec']?.['resources']?.['requests']?.['storage']), '30Gi');
  const asked = (await api.get(CLAIM))['spec']?.['resources']?.['requests']?.['storage'];
  assert.equal(String(asked), '30Gi');
  const [same] = await readyPods(api, { standalone: 1 });
  assert.equal(same?.uid, pod?.uid, 'it runs on');
  await assert.rejects(release.rollback(1), /updates to statefulset spec/, 'as the page says');
});
