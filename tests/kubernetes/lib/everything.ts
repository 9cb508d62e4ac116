import { NAMESPACE, RELEASE } from '../../helm/lib/render.ts';
import { collectionOf, type Kind, type KubeApi } from './api.ts';
import { nameOf } from './nodes.ts';

/** What comes and goes by itself. */
const FLEETING = ['events', 'leases', 'componentstatuses'];

/** The name of every resource of the cluster: `<kind> <namespace>/<name>`. */
export async function everything(api: KubeApi): Promise<Set<string>> {
  const all = await Promise.all(
    (await listable(api)).map(async (kind) => {
      const resources = await api.list(collectionOf(kind));
      return resources.map((resource) => {
        const namespace = resource['metadata']?.['namespace'] ?? '';
        return `${kind.plural} ${namespace}/${nameOf(resource)}`;
      });
    }),
  );
  return new Set(all.flat());
}

/** What the release wants of each of its resources, as the cluster has it. */
export async function wanted(api: KubeApi): Promise<Record<string, unknown>> {
  const selector = `?labelSelector=app.kubernetes.io/instance=${RELEASE},app.kubernetes.io/managed-by=Helm`;
  const kinds = (await listable(api)).filter(({ plural }) => !OF_CONTROLLERS.includes(plural));
  const all = await Promise.all(
    kinds.map(async (kind) => {
      const resources = await api.list(`${collectionOf(kind, NAMESPACE)}${selector}`);
      return resources.map((one) => [
        `${kind.plural}/${nameOf(one)}`,
        one['spec'] ?? one['data'] ?? one['value'] ?? null,
      ]);
    }),
  );
  return Object.fromEntries(all.flat());
}

/** They have the labels of what they were made for. */
const OF_CONTROLLERS = [
  'pods',
  'replicasets',
  'controllerrevisions',
  'endpoints',
  'endpointslices',
];

async function listable(api: KubeApi): Promise<Kind[]> {
  const kinds = await api.kinds();
  return kinds.filter(({ verbs, plural }) => verbs.includes('list') && !FLEETING.includes(plural));
}
