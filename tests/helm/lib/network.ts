import { BlockList } from 'node:net';
import { list, type Resource } from './render.ts';

/** A pod, or something outside of the cluster, which has an address. */
export interface End {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly address?: string;
}

/**
 * Whether NetworkPolicies let a connection through, as Kubernetes has it: a pod that a policy selects
 * is closed in the direction of that policy but for what any of them opens, and both ends must agree.
 */
export function allows(
  policies: readonly Resource[],
  from: End,
  to: End,
  port: number,
  protocol: string,
): boolean {
  return (
    opens(policies, 'Egress', from, to, port, protocol) &&
    opens(policies, 'Ingress', to, from, port, protocol)
  );
}

function opens(
  policies: readonly Resource[],
  direction: 'Ingress' | 'Egress',
  own: End,
  other: End,
  port: number,
  protocol: string,
): boolean {
  const about = policies.filter(
    ({ metadata, spec }) =>
      (metadata?.['namespace'] === undefined || String(metadata['namespace']) === own.namespace) &&
      own.namespace === 'mem' &&
      own.address === undefined &&
      list(spec?.['policyTypes']).map(String).includes(direction) &&
      selects(spec?.['podSelector'], own.labels),
  );
  if (about.length === 0) return true;
  return about.some(({ spec }) =>
    list(spec?.[direction.toLowerCase()]).some((rule) => {
      const ports = list(rule['ports']);
      const peers = list(rule[direction === 'Ingress' ? 'from' : 'to']);
      return (
        (ports.length === 0 || ports.some((each) => isPort(each, port, protocol))) &&
        (peers.length === 0 || peers.some((peer) => isPeer(peer, other, 'mem')))
      );
    }),
  );
}

function isPort(rule: Resource, port: number, protocol: string): boolean {
  return Number(rule['port']) === port && String(rule['protocol'] ?? 'TCP') === protocol;
}

function isPeer(peer: Resource, { namespace, labels, address }: End, own: string): boolean {
  const { ipBlock, namespaceSelector, podSelector } = peer;
  if (ipBlock !== undefined)
    return address !== undefined && isWithin(address, String(ipBlock['cidr']));
  if (address !== undefined) return false;
  const names = { 'kubernetes.io/metadata.name': namespace };
  const isThere = namespaceSelector ? selects(namespaceSelector, names) : namespace === own;
  return isThere && selects(podSelector, labels);
}

/** An absent or empty selector selects all. */
function selects(
  selector: Resource | undefined,
  labels: Readonly<Record<string, string>>,
): boolean {
  if (selector?.['matchExpressions'] !== undefined) throw new Error('not understood here');
  return Object.entries(selector?.['matchLabels'] ?? {}).every(
    ([name, value]) => labels[name] === String(value),
  );
}

function isWithin(address: string, cidr: string): boolean {
  const [network = '', bits = '32'] = cidr.split('/');
  const block = new BlockList();
  block.addSubnet(network, Number(bits));
  return block.check(address);
}
