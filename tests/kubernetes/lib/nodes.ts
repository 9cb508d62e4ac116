import { eventually } from '@memplane/testkit';
import type { Resource } from '../../helm/lib/render.ts';
import type { KubeApi } from './api.ts';

export const ZONES = ['zone-a', 'zone-b', 'zone-c'] as const;
export const ZONE_LABEL = 'topology.kubernetes.io/zone';
/** A zonal volume's pod can go elsewhere when its node does. */
const NODES_PER_ZONE = 2;
const READY_MS = 60_000;
const NODES = '/api/v1/nodes';
const VOLUMES = '/api/v1/persistentvolumes';
/** `standard` is what a claim without a class gets. */
const CLASSES = ['standard', 'fast'] as const;
const VOLUMES_PER_CLASS_AND_ZONE = 6;

/** Nodes as kubelets would announce them; kwok then says that they and their pods are well. */
export async function makeNodes(api: KubeApi): Promise<void> {
  const names = ZONES.flatMap((zone) =>
    Array.from({ length: NODES_PER_ZONE }, (_, i) => ({ zone, name: `${zone}-${i + 1}` })),
  );
  const room = { cpu: '16', memory: '64Gi', pods: '110', 'ephemeral-storage': '200Gi' };
  for (const { zone, name } of names) {
    const labels = {
      'kubernetes.io/hostname': name,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': 'amd64',
      [ZONE_LABEL]: zone,
    };
    await api.post(NODES, { metadata: { name, labels } });
    await api.call(
      'PATCH',
      `${NODES}/${name}/status`,
      { status: { capacity: room, allocatable: room } },
      'application/merge-patch+json',
    );
  }
  await eventually('the nodes are ready', READY_MS, async () => {
    const all = await api.list(NODES);
    // The controllers taint a node until they have seen that it is ready.
    return (
      all.every((node) => isReady(node) && node['spec']?.['taints'] === undefined) || undefined
    );
  });
}

/** No new pods for a node, or for none of them; or all of them take pods again. */
export async function cordon(api: KubeApi, unschedulable: boolean, nodes?: readonly string[]) {
  const names = nodes ?? (await api.list(NODES)).map(nameOf);
  for (const name of names) await api.patch(`${NODES}/${name}`, { spec: { unschedulable } });
}

/** The zone of each node, by its name. */
export async function zonesOfNodes(api: KubeApi): Promise<Map<string, string>> {
  const nodes = await api.list(NODES);
  return new Map(
    nodes.map((node) => [nameOf(node), String(node['metadata']?.['labels']?.[ZONE_LABEL])]),
  );
}

/** Storage classes, and volumes of a zone each, as a cloud's disks are; made anew where they were used. */
export async function makeVolumes(api: KubeApi): Promise<void> {
  const classes = '/apis/storage.k8s.io/v1/storageclasses';
  const there = new Set((await api.list(classes)).map(nameOf));
  for (const name of CLASSES.filter((one) => !there.has(one))) {
    const annotations = {
      'storageclass.kubernetes.io/is-default-class': String(name === 'standard'),
    };
    await api.post(classes, {
      metadata: { name, annotations },
      provisioner: 'kubernetes.io/no-provisioner',
      // A volume is chosen once its pod has a node.
      volumeBindingMode: 'WaitForFirstConsumer',
      allowVolumeExpansion: true,
    });
  }
  for (const volume of await api.list(VOLUMES)) {
    if (String(volume['status']?.['phase']) === 'Released') {
      await api.delete(`${VOLUMES}/${nameOf(volume)}`);
    }
  }
  await Promise.all(
    CLASSES.flatMap((storageClassName) => ZONES.map((zone) => ({ storageClassName, zone })))
      .flatMap((one) => Array(VOLUMES_PER_CLASS_AND_ZONE).fill(one))
      .map(({ storageClassName, zone }) => api.post(VOLUMES, volumeOf(storageClassName, zone))),
  );
}

function volumeOf(storageClassName: string, zone: string) {
  const inZone = { key: ZONE_LABEL, operator: 'In', values: [zone] };
  return {
    metadata: { generateName: `${storageClassName}-${zone}-` },
    spec: {
      storageClassName,
      capacity: { storage: '500Gi' },
      accessModes: ['ReadWriteOnce'],
      persistentVolumeReclaimPolicy: 'Retain',
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [inZone] }] } },
      // Kwok mounts nothing.
      hostPath: { path: '/nowhere' },
    },
  };
}

export function nameOf(resource: Resource): string {
  return String(resource['metadata']?.['name']);
}

/** Whether a node or a pod says that it is ready. */
export function isReady({ status }: Resource): boolean {
  const conditions = (status?.['conditions'] ?? []) as unknown as readonly Condition[];
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}

interface Condition {
  readonly type: string;
  readonly status: string;
}
