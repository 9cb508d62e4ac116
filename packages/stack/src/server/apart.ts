import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { checkHttp } from './http-check.ts';
import type { ServicePlan } from './service.ts';

/** Where a process stands that is in a network namespace of its own, and what links it to the rest. */
export interface ApartNet {
  /** The host's ends of its links: one for Kafka alone, one for all else. */
  readonly links: { readonly kafka: string; readonly rest: string };
  /** Where others reach it. */
  readonly address: string;
  readonly kafkaPort: number;
}

/** Of RFC 2544, for tests between devices: nothing on a network is there. */
const FIRST_ADDRESS = (198 << 24) | (18 << 16);
const PORTS_PER_STACK = 200;
const ADDRESSES_PER_STACK = 64;
const ADDRESSES_PER_INSTANCE = 8;

/**
 * The process and all its sockets are in a new namespace, which ends with them: nothing is left to be
 * taken away, however a test ends. There 127.0.0.1 is no address of its own but that of the host,
 * over a link (`route_localnet` lets it pass): servers that listen on loopback, and tell clients to
 * come there, need not know. Neighbours are told, so that a cut drops packets and nothing says so.
 */
const SCRIPT = `
exec 9</proc/self/ns/net
exec unshare --net sh -e -c '
host() { nsenter --net=/proc/self/fd/9 "$@"; }
link() { # name, host end, addresses of both ends, hardware addresses
  host ip link del "$2" 2>/dev/null || :
  ip link add "$1" address "02:00:$6:02" type veth peer name "$2" address "02:00:$6:01"
  ip link set "$2" netns /proc/self/fd/9
  ip addr add "$4/30" dev "$1"
  ip link set "$1" up
  echo 1 > "/proc/sys/net/ipv4/conf/$1/route_localnet"
  echo 0 > "/proc/sys/net/ipv4/conf/$1/rp_filter"
  ip neigh replace 127.0.0.1 lladdr "02:00:$6:01" dev "$1" nud permanent
  ip neigh replace "$3" lladdr "02:00:$6:01" dev "$1" nud permanent
  host ip addr add "$3/30" dev "$2"
  host ip link set "$2" up
  host sh -c "echo 1 > /proc/sys/net/ipv4/conf/$2/route_localnet"
  host ip neigh replace "$4" lladdr "02:00:$6:02" dev "$2" nud permanent
  ip route add 127.0.0.1 dev "$1" src "$4" table "$5"
}
ip link set lo up
ip addr del 127.0.0.1/8 dev lo
echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter
link kafka0 "$1" "$3" "$4" 77 00:00:01
link rest0 "$2" "$5" "$6" 254 00:00:02
ip rule add to 127.0.0.1 dport "$7" lookup 77
shift 7
exec 9<&-
exec "$@"
' sh "$@"
`;

/** @param position of the instance in its stack */
export function apartNet(portBase: number, position: number, kafkaPort: number): ApartNet {
  const name = `mp${portBase}-${position}`;
  const first = firstOf(portBase, position);
  return {
    links: { kafka: `${name}k`, rest: `${name}r` },
    address: dotted(first + 6),
    kafkaPort,
  };
}

/** The same instance, but apart: its own port is at {@link ApartNet.address}. */
export function apartPlan(plan: ServicePlan, net: ApartNet): ServicePlan {
  return {
    ...plan,
    command: 'sh',
    args: ['-c', SCRIPT, 'sh', ...scriptArgs(net), plan.command, ...plan.args],
    env: { ...plan.env, MEMPLANE_HOST: net.address },
    // Of another namespace than those that could be taken here.
    ports: [],
    check: () => checkHttp(`http://${net.address}:${plan.port}/readyz`),
    apart: net,
  };
}

/** Why this machine has no namespaces for us; undefined where it has. Tries it. */
export function whyNotApart(net: ApartNet): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'needs root on Linux';
  const args = ['-c', SCRIPT, 'sh', ...scriptArgs(net)];
  const tried = spawnSync('sh', [...args, 'tc', 'qdisc', 'show'], { encoding: 'utf8' });
  return tried.status === 0 ? undefined : `no network namespace: ${tried.stderr || tried.error}`;
}

/** From now on no packet passes the link, either way: connections hang, nobody is told. */
export function cutLink(net: ApartNet, link: keyof ApartNet['links'], pid: number): void {
  // A queue without a place drops all; unlike netem it is part of every kernel.
  const queue = ['root', 'pfifo', 'limit', '0'];
  execFileSync('tc', ['qdisc', 'replace', 'dev', net.links[link], ...queue]);
  inside(pid, ['tc', 'qdisc', 'replace', 'dev', `${link}0`, ...queue]);
}

export function restoreLink(net: ApartNet, link: keyof ApartNet['links'], pid: number): void {
  // They are gone with a process that has ended meanwhile.
  if (!existsSync(`/sys/class/net/${net.links[link]}`)) return;
  execFileSync('tc', ['qdisc', 'del', 'dev', net.links[link], 'root']);
  inside(pid, ['tc', 'qdisc', 'del', 'dev', `${link}0`, 'root']);
}

/** Packets that a cut has dropped on their way to the process. */
export function droppedBy(net: ApartNet, link: keyof ApartNet['links']): number {
  const shown = execFileSync('tc', ['-s', 'qdisc', 'show', 'dev', net.links[link]]).toString();
  return Number(/dropped (\d+)/.exec(shown)?.[1] ?? 0);
}

function inside(pid: number, command: readonly string[]): void {
  execFileSync('nsenter', ['--target', String(pid), '--net', ...command]);
}

function scriptArgs({ links, address, kafkaPort }: ApartNet): string[] {
  const last = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const near = [-5, -4, -1, 0].map((step) => dotted(last + step));
  return [links.kafka, links.rest, ...near, String(kafkaPort)];
}

function firstOf(portBase: number, position: number): number {
  const stack = Math.floor(portBase / PORTS_PER_STACK) * ADDRESSES_PER_STACK;
  return FIRST_ADDRESS + stack + position * ADDRESSES_PER_INSTANCE;
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((bits) => (address >>> bits) & 255).join('.');
}
