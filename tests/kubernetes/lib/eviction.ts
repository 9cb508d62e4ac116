import { eventually } from '@memplane/testkit';
import { ApiProblem, type KubeApi } from './api.ts';
import { cordon } from './nodes.ts';
import { type PlacedPod, PODS, placedPods, readyCounts } from './pods.ts';

const DRAINED_MS = 120_000;
const WATCH_EVERY_MS = 20;

/** Asks that a pod goes, as a drain does. False where a budget is in the way. */
export async function evict(api: KubeApi, { name }: PlacedPod): Promise<boolean> {
  try {
    await api.post(`${PODS}/${name}/eviction`, {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name },
    });
    return true;
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    if (error.status === 429 && error.message.includes('disruption budget')) return false;
    // It has gone since it was listed.
    if (error.status === 404) return true;
    throw error;
  }
}

/** `kubectl drain`: no new pods for the node, and those that it has go as soon as budgets let them. */
export async function drain(api: KubeApi, node: string): Promise<void> {
  await cordon(api, true, [node]);
  await eventually(`${node} is drained`, DRAINED_MS, async () => {
    const here = (await placedPods(api)).filter((pod) => pod.node === node);
    for (const pod of here) await evict(api, pod);
    return here.length === 0 || undefined;
  });
}

/** Does something, and says how few pods of each component were ready at any time of it. */
export async function fewestReady(
  api: KubeApi,
  work: () => Promise<void>,
): Promise<Record<string, number>> {
  const fewest = readyCounts(await placedPods(api));
  const components = Object.keys(fewest);
  const look = async () => {
    const counts = readyCounts(await placedPods(api));
    for (const one of components) fewest[one] = Math.min(fewest[one] ?? 0, counts[one] ?? 0);
  };
  let over = false;
  const working = work().finally(() => {
    over = true;
  });
  while (!over) {
    await look();
    await new Promise((resolve) => setTimeout(resolve, WATCH_EVERY_MS));
  }
  await working;
  await look();
  return fewest;
}
