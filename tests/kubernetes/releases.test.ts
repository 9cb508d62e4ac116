import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '@memplane/testkit';
import { NAME, NAMESPACE, type Values } from '../helm/lib/render.ts';
import { cluster } from './lib/cluster.ts';
import { everything, wanted } from './lib/everything.ts';
import { Release } from './lib/helm.ts';
import { Namespaces, OTHER_NAMESPACES } from './lib/namespaces.ts';
import { makeVolumes } from './lib/nodes.ts';
import { placedPods, readyPods } from './lib/pods.ts';

// A release's life, by helm itself. Pods are as ready as kwok says: that they work is what
// tests/helm/running.test.ts and the stack show.
const { api, kubeconfig } = await cluster();
const COLLECTED_MS = 60_000;

interface Life {
  readonly set: string;
  readonly namespaces: readonly string[];
  readonly pods: Readonly<Record<string, number>>;
  readonly change: Values;
  readonly changedPods: Readonly<Record<string, number>>;
  /** What is to outlive the release, and what else may be there of pods that scaling took away. */
  readonly stays: readonly string[];
}

const TOPICS = ['agent-events', 'agent-inbox', 'agent-inbox-dead', 'memory-alerts', 'memory-views'];
const claim = (pod: string) => `persistentvolumeclaims ${NAMESPACE}/data-${NAME}-${pod}`;

const LIVES: Readonly<Record<string, Life>> = {
  distributed: {
    set: 'full',
    namespaces: [NAMESPACE, ...OTHER_NAMESPACES],
    // KEDA would scale the others; a workload that says nothing of replicas has one.
    pods: { 'event-ingest': 1, materializer: 1, 'crdt-sync': 3, 'vector-index': 1 },
    change: {
      'image.tag': '0.2.0',
      'crdtSync.replicas': 4,
      'materializer.resources.limits.memory': '4Gi',
      'reconciliation.enabled': false,
      'telemetry.samplingRate': 0.5,
    },
    changedPods: { 'event-ingest': 1, materializer: 1, 'crdt-sync': 4, 'vector-index': 1 },
    stays: [
      ...['crdt-sync-0', 'crdt-sync-1', 'crdt-sync-2', 'crdt-sync-3'].map(claim),
      ...['materializer-0', 'vector-index-0'].map(claim),
      ...TOPICS.map((topic) => `kafkatopics kafka/${topic}`),
    ],
  },
  standalone: {
    set: 'standalone',
    namespaces: [NAMESPACE],
    pods: { standalone: 1 },
    change: {
      'image.tag': '0.2.0',
      'standalone.resources.limits.memory': '4Gi',
      logLevel: 'debug',
    },
    changedPods: { standalone: 1 },
    stays: [claim('standalone-0')],
  },
};

for (const [shape, life] of Object.entries(LIVES)) {
  test(`${shape}: installed, upgraded, rolled back and uninstalled, it leaves data alone`, async () => {
    await using _spaces = await Namespaces.make(api, ...life.namespaces);
    await makeVolumes(api);
    const before = await everything(api);
    using release = new Release(kubeconfig);
    await release.install(life.set);
    const first = await readyPods(api, life.pods);
    const installed = await wanted(api);

    await release.upgrade(life.set, life.change);
    const second = await readyPods(api, life.changedPods);
    for (const { name, uid, spec } of second) {
      assert.equal(
        first.some((pod) => pod.uid === uid),
        false,
        `${name} was replaced`,
      );
      assert.match(JSON.stringify(spec['containers']), /memplane\/[a-z-]+:0\.2\.0"/, name);
    }
    assert.notDeepEqual(await wanted(api), installed);

    await release.rollback(1);
    await readyPods(api, life.pods);
    assert.deepEqual(await wanted(api), installed);
    assert.deepEqual(await release.history(), ['superseded', 'superseded', 'deployed']);

    await release.uninstall();
    await leaves(before, life.stays);
    await assert.rejects(
      leaves(before, life.stays.slice(1), 0),
      /^Error: there is/,
      'would be seen',
    );
    assert.deepEqual(await placedPods(api), []);
  });
}

test('what is uninstalled and installed again has its data again', async () => {
  await using _spaces = await Namespaces.make(api, NAMESPACE);
  await makeVolumes(api);
  using release = new Release(kubeconfig);
  await release.install('default');
  const volume = await volumeOf('standalone-0');
  await release.uninstall();
  await release.install('default');
  assert.equal(await volumeOf('standalone-0'), volume);
});

/** Waits until what is there more than before is just this: controllers collect what nobody owns. */
async function leaves(before: Set<string>, stays: readonly string[], deadlineMs = COLLECTED_MS) {
  const expected = JSON.stringify([...stays].sort());
  let left: string[] = [];
  await eventually(`left: ${expected}`, deadlineMs, async () => {
    left = [...(await everything(api))].filter((name) => !before.has(name)).sort();
    return JSON.stringify(left) === expected || undefined;
  }).catch((error: unknown) => {
    throw new Error(`there is ${JSON.stringify(left)}`, { cause: error });
  });
}

async function volumeOf(pod: string): Promise<string> {
  const path = `/api/v1/namespaces/${NAMESPACE}/persistentvolumeclaims/data-${NAME}-${pod}`;
  return String((await api.get(path))['spec']?.['volumeName']);
}
