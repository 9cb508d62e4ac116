import { eventually } from '@memplane/testkit';
import { list, NAMESPACE, type Resource } from '../../helm/lib/render.ts';
import type { KubeApi } from './api.ts';
import { isReady, nameOf, ZONES, zonesOfNodes } from './nodes.ts';

export const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
const PLACED_MS = 60_000;

/** A pod of the release, and where it is. */
export interface PlacedPod {
  readonly name: string;
  /** Changes when a pod of the same name takes its place. */
  readonly uid: string;
  readonly component: string;
  readonly node: string;
  readonly zone: string;
  readonly ready: boolean;
  readonly spec: Resource;
}

/** A pod of a template, with what a StatefulSet's controller would add. */
export function podOf(name: string, { metadata, spec }: Resource): Resource {
  const volumes: object[] = list(spec?.['volumes']);
  const claimed = { name: 'data', persistentVolumeClaim: { claimName: `data-${name}` } };
  const isThere = list(spec?.['volumes']).some((volume) => String(volume['name']) === 'data');
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, name },
    spec: { ...spec, volumes: isThere ? volumes : [...volumes, claimed] },
  };
  return pod as unknown as Resource;
}

/** The pods of the release that are not about to go. */
export async function placedPods(api: KubeApi): Promise<PlacedPod[]> {
  const zones = await zonesOfNodes(api);
  return (await api.list(PODS))
    .filter(({ metadata }) => metadata?.['deletionTimestamp'] === undefined)
    .map((pod) => {
      const node = String(pod['spec']?.['nodeName'] ?? '');
      return {
        name: nameOf(pod),
        uid: String(pod['metadata']?.['uid']),
        component: String(pod['metadata']?.['labels']?.['app.kubernetes.io/component']),
        node,
        zone: zones.get(node) ?? '',
        ready: isReady(pod),
        spec: pod['spec']!,
      };
    });
}

/** Waits until each component has so many pods, all ready. */
export function readyPods(api: KubeApi, counts: Readonly<Record<string, number>>) {
  const wanted = JSON.stringify(Object.entries(counts).sort());
  return eventually(`ready: ${wanted}`, PLACED_MS, async () => {
    const pods = await placedPods(api);
    const there = Object.entries(readyCounts(pods)).sort();
    return pods.every((pod) => pod.ready) && JSON.stringify(there) === wanted ? pods : undefined;
  });
}

/** How many pods of each component are ready. */
export function readyCounts(pods: readonly PlacedPod[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { component, ready } of pods) {
    counts[component] = (counts[component] ?? 0) + Number(ready);
  }
  return counts;
}

/** By how much the zone with most pods of a component has more than the zone with fewest, by component. */
export function skews(pods: readonly PlacedPod[]): Record<string, number> {
  const components = [...new Set(pods.map(({ component }) => component))].sort();
  return Object.fromEntries(
    components.map((component) => {
      const counts = ZONES.map(
        (zone) => pods.filter((pod) => pod.component === component && pod.zone === zone).length,
      );
      return [component, Math.max(...counts) - Math.min(...counts)];
    }),
  );
}
