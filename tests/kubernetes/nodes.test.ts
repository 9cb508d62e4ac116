import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { eventually } from '@memplane/testkit';
import { NAME, NAMESPACE, type Values } from '../helm/lib/render.ts';
import { cluster } from './lib/cluster.ts';
import { drain, evict, fewestReady } from './lib/eviction.ts';
import { Release } from './lib/helm.ts';
import { Namespaces } from './lib/namespaces.ts';
import { cordon, makeVolumes, ZONES } from './lib/nodes.ts';
import { type PlacedPod, PODS, placedPods, readyPods, skews } from './lib/pods.ts';

// Six nodes in three zones, played by kwok, with volumes that are of one zone each: where a real
// scheduler puts the pods, and what budgets let a drain do.
const { api, kubeconfig } = await cluster();
const VALUES: Values = {
  'eventIngest.replicas': 5,
  'scheduling.whenUnsatisfiable': 'DoNotSchedule',
};
const COUNTS = { 'event-ingest': 5, materializer: 2, 'crdt-sync': 3, 'vector-index': 2 };
const BUDGETS = `/apis/policy/v1/namespaces/${NAMESPACE}/poddisruptionbudgets`;
const BUDGET_MS = 30_000;
const release = new Release(kubeconfig);
let spaces: Namespaces | undefined;

suite('on six nodes in three zones', () => {
  before(async () => {
    spaces = await Namespaces.make(api, NAMESPACE);
    await makeVolumes(api);
    await release.install('distributed', VALUES);
  });

  after(async () => {
    release[Symbol.dispose]();
    await cordon(api, false);
    await spaces?.[Symbol.asyncDispose]();
  });

  test('pods of a component are spread over the zones, also after rolling upgrades', async () => {
    assert.deepEqual(uneven(await readyPods(api, COUNTS)), {});
    for (const tag of ['0.2.0', '0.3.0', '0.4.0']) {
      await release.upgrade('distributed', { ...VALUES, 'image.tag': tag });
      assert.deepEqual(uneven(await readyPods(api, COUNTS)), {}, `after ${tag}`);
    }
  });

  test('pods that are not spread are seen', async () => {
    const labels = { 'app.kubernetes.io/component': 'planted' };
    const pods = (await readyPods(api, COUNTS)).filter((pod) => pod.component === 'event-ingest');
    const { spec } = pods[0]!;
    for (const name of ['planted-1', 'planted-2']) {
      const planted = {
        ...spec,
        nodeName: 'zone-a-1',
        topologySpreadConstraints: [],
        affinity: {},
      };
      await api.post(PODS, { metadata: { name, labels }, spec: planted });
    }
    await readyPods(api, { ...COUNTS, planted: 2 });
    assert.deepEqual(uneven(await placedPods(api)), { planted: 2 });
    for (const name of ['planted-1', 'planted-2']) await api.delete(`${PODS}/${name}`);
    await readyPods(api, COUNTS);
  });

  test('of each component one pod may go, and no other before it is back', async () => {
    const pods = await readyPods(api, COUNTS);
    await budgetsAllow(1);
    // Nothing comes back meanwhile.
    await cordon(api, true);
    for (const component of Object.keys(COUNTS)) {
      assert.equal(await evicted(pods, component), 1, component);
    }
    await cordon(api, false);
    const all = await readyPods(api, COUNTS);
    await api.delete(`${BUDGETS}/${NAME}-event-ingest`);
    await cordon(api, true);
    assert.equal(
      await evicted(all, 'event-ingest'),
      5,
      'without a budget all go: the test would see',
    );
    await cordon(api, false);
    await release.upgrade('distributed', VALUES);
    await readyPods(api, COUNTS);
  });

  test('pods that are not ready hold up no drain, and those that are stay', async () => {
    await readyPods(api, COUNTS);
    await budgetsAllow(1);
    await cordon(api, true);
    const pods = (await placedPods(api)).filter((pod) => pod.component === 'crdt-sync');
    const [ill, worse, well] = pods;
    for (const one of [ill!, worse!]) await breakDown(one);
    await eventually('the budget knows', BUDGET_MS, async () => {
      const { status } = await api.get(`${BUDGETS}/${NAME}-crdt-sync`);
      return Number(status?.['currentHealthy']) === 1 || undefined;
    });
    assert.equal(await evict(api, well!), false, 'the last one that is ready');
    const budget = `${BUDGETS}/${NAME}-crdt-sync`;
    await api.patch(budget, { spec: { unhealthyPodEvictionPolicy: 'IfHealthyBudget' } });
    assert.equal(await evict(api, ill!), false, 'so it would be otherwise');
    await api.patch(budget, { spec: { unhealthyPodEvictionPolicy: 'AlwaysAllow' } });
    assert.equal(await evict(api, ill!), true);
    assert.equal(await evict(api, worse!), true);
    assert.equal(await evict(api, well!), false);
    await cordon(api, false);
    await readyPods(api, COUNTS);
  });

  test('a node is drained: its pods move, within their zones where they have volumes', async () => {
    for (const zone of ZONES) {
      const before = await readyPods(api, COUNTS);
      const node = busiest(before.filter((pod) => pod.zone === zone));
      const fewest = await fewestReady(api, () => drain(api, node));
      for (const [component, count] of Object.entries(COUNTS)) {
        assert.ok(
          fewest[component]! >= count - 1,
          `${component}: ${fewest[component]} of ${count}`,
        );
      }
      const after = await readyPods(api, COUNTS);
      assert.deepEqual(
        after.filter((pod) => pod.node === node),
        [],
      );
      for (const was of before.filter((pod) => pod.component !== 'event-ingest')) {
        const is = after.find((pod) => pod.name === was.name)!;
        assert.equal(is.zone, was.zone, `${was.name} has its volume again`);
        assert.equal(is.uid === was.uid, was.node !== node, `${was.name} moved if it had to`);
      }
      await cordon(api, false, [node]);
    }
  });

  test('two pods that go at once would be seen', async () => {
    const [one, two] = (await readyPods(api, COUNTS)).filter(
      (pod) => pod.component === 'crdt-sync',
    );
    await cordon(api, true);
    const fewest = await fewestReady(api, async () => {
      for (const { name } of [one!, two!]) await api.delete(`${PODS}/${name}`);
    });
    assert.equal(fewest['crdt-sync'], 1);
    await cordon(api, false);
    await readyPods(api, COUNTS);
  });

  test('the standalone pod moves to another node of its volume’s zone', async () => {
    await release.uninstall();
    await readyPods(api, {});
    await release.install('default');
    const [was] = await readyPods(api, { standalone: 1 });
    await drain(api, was!.node);
    const [is] = await readyPods(api, { standalone: 1 });
    assert.notEqual(is!.node, was!.node);
    assert.equal(is!.zone, was!.zone);
  });
});

/** The components of which one zone has two pods more than another. */
function uneven(pods: readonly PlacedPod[]): Record<string, number> {
  return Object.fromEntries(Object.entries(skews(pods)).filter(([, skew]) => skew > 1));
}

/** How many of a component's pods could be evicted, one after the other. */
async function evicted(pods: readonly PlacedPod[], component: string): Promise<number> {
  let count = 0;
  for (const pod of pods) {
    if (pod.component === component && (await evict(api, pod))) count++;
  }
  return count;
}

async function budgetsAllow(count: number): Promise<void> {
  await eventually(`budgets allow ${count}`, BUDGET_MS, async () => {
    const budgets = await api.list(BUDGETS);
    const allow = budgets.map(({ status }) => Number(status?.['disruptionsAllowed']));
    return (allow.length === 4 && allow.every((each) => each === count)) || undefined;
  });
}

/** What a kubelet says of a pod whose probe fails. */
async function breakDown({ name }: PlacedPod): Promise<void> {
  const { status } = await api.get(`${PODS}/${name}`);
  const conditions = (status!['conditions'] as unknown as { type: string }[]).map((one) =>
    one.type === 'Ready' ? { ...one, status: 'False' } : one,
  );
  const path = `${PODS}/${name}/status`;
  await api.patch(path, { status: { conditions } });
}

function busiest(pods: readonly PlacedPod[]): string {
  const counts = new Map<string, number>();
  for (const { node } of pods) counts.set(node, (counts.get(node) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a)[0]![0];
}
