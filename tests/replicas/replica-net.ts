import { execFile } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { promisify } from 'node:util';
import { Namespace } from './namespace.ts';

const run = promisify(execFile);

/** A way between two replicas, in one direction. */
export type Way = readonly [from: string, to: string];

interface Place {
  readonly id: string;
  readonly index: number;
  readonly namespace: Namespace;
}

/** Of RFC 2544, for tests between devices: nothing on a network is there. */
const MANAGEMENT = '198.19';
const MANAGEMENT_NETS = 256;
const GOSSIP = '10.66.0';
/** A queue without a place drops all; unlike netem it is part of every kernel. */
const DROP_ALL = 'root pfifo limit 0';
/** Of this process: the kernel takes the devices of one that has ended away a little later. */
let nets = 0;

/**
 * Replicas in network namespaces of their own, each linked with each other by a pair of devices, and
 * with this process by one more, which is never cut. Each direction of a link is cut by itself, for
 * all packets: those of connections that stand already too, and nobody is told.
 */
export class ReplicaNet implements AsyncDisposable {
  readonly #places = new Map<string, Place>();
  readonly #management = `${MANAGEMENT}.${freeNet()}`;
  readonly #number = ++nets;
  readonly #cut = new Map<string, Way>();

  static async create(ids: readonly string[]): Promise<ReplicaNet> {
    const net = new ReplicaNet();
    try {
      for (const id of ids) await net.add(id);
    } catch (error) {
      await net[Symbol.asyncDispose]();
      throw error;
    }
    return net;
  }

  /** One more replica, linked with all that are there. */
  async add(id: string): Promise<void> {
    const place = { id, index: this.#places.size + 1, namespace: await Namespace.create() };
    const others = [...this.#places.values()];
    this.#places.set(id, place);
    await place.namespace.script([
      'echo 0 > /proc/sys/net/ipv4/conf/all/rp_filter',
      'echo 0 > /proc/sys/net/ipv4/conf/default/rp_filter',
      `ip addr add ${this.gossipAddress(id)}/32 dev lo`,
    ]);
    await this.#linkToHost(place);
    for (const other of others) await this.#link(place, other);
  }

  /** Where the replica reaches its peers and is reached by them. */
  gossipAddress(id: string): string {
    return `${GOSSIP}.${this.#place(id).index}`;
  }

  /** Where this process reaches it, always. */
  managementAddress(id: string): string {
    return `${this.#management}.${4 * this.#place(id).index + 2}`;
  }

  /** What comes in front of a command that is to run in a replica's namespace. */
  enter(id: string): readonly string[] {
    return this.#place(id).namespace.enter;
  }

  async cut(ways: readonly Way[]): Promise<void> {
    for (const way of ways) this.#cut.set(way.join(), way);
    await this.#atSenders(ways, (device) => `tc qdisc replace dev ${device} ${DROP_ALL}`);
  }

  /** Ends all cuts. */
  async heal(): Promise<void> {
    const ways = [...this.#cut.values()];
    this.#cut.clear();
    await this.#atSenders(ways, (device) => `tc qdisc del dev ${device} root`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#places.values()];
    await Promise.all(all.map(({ namespace }) => namespace[Symbol.asyncDispose]()));
  }

  async #atSenders(ways: readonly Way[], command: (device: string) => string): Promise<void> {
    const bySender = Map.groupBy(ways, ([from]) => from);
    const all = [...bySender].map(([from, those]) =>
      this.#place(from).namespace.script(those.map(([, to]) => command(deviceTo(to)))),
    );
    await Promise.all(all);
  }

  async #linkToHost({ id, index, namespace }: Place): Promise<void> {
    // It ends with the namespace that its other end is in.
    const device = `mr${process.pid.toString(36)}-${this.#number}-${index}`;
    const host = `${this.#management}.${4 * index + 1}`;
    const peer = ['peer', 'name', 'host', 'netns', `${namespace.pid}`];
    await run('ip', ['link', 'add', device, 'type', 'veth', ...peer]);
    await run('ip', ['addr', 'add', `${host}/30`, 'dev', device]);
    await run('ip', ['link', 'set', device, 'up']);
    await namespace.script([
      `ip addr add ${this.managementAddress(id)}/30 dev host`,
      'ip link set host up',
    ]);
  }

  async #link(one: Place, other: Place): Promise<void> {
    const device = (from: Place, to: Place) =>
      `name ${deviceTo(to.id)} address ${hardwareAddress(from, to)}`;
    const peer = `peer ${device(other, one)} netns ${other.namespace.pid}`;
    await one.namespace.script([`ip link add ${device(one, other)} type veth ${peer}`]);
    await Promise.all([this.#route(one, other), this.#route(other, one)]);
  }

  /** Neighbours are told, so that a cut drops packets and no error says so. */
  async #route(from: Place, to: Place): Promise<void> {
    const device = deviceTo(to.id);
    const address = this.gossipAddress(to.id);
    const source = this.gossipAddress(from.id);
    await from.namespace.script([
      `ip link set ${device} up`,
      `ip neigh replace ${address} lladdr ${hardwareAddress(to, from)} dev ${device} nud permanent`,
      `ip route add ${address}/32 dev ${device} src ${source}`,
    ]);
  }

  #place(id: string): Place {
    const place = this.#places.get(id);
    if (place === undefined) throw new RangeError(`there is no place for ${id}`);
    return place;
  }
}

function deviceTo(id: string): string {
  return `to-${id}`;
}

function hardwareAddress(from: Place, to: Place): string {
  const byte = (index: number) => index.toString(16).padStart(2, '0');
  return `02:00:00:00:${byte(from.index)}:${byte(to.index)}`;
}

/** The third byte of addresses that no other run on this machine has at the moment. */
function freeNet(): number {
  const taken = new Set<string>();
  for (const all of Object.values(networkInterfaces())) {
    for (const { address } of all ?? []) taken.add(address.split('.').slice(0, 3).join('.'));
  }
  for (let step = 0; step < MANAGEMENT_NETS; step++) {
    const byte = (process.pid + step) % MANAGEMENT_NETS;
    if (!taken.has(`${MANAGEMENT}.${byte}`)) return byte;
  }
  throw new Error('no addresses are free');
}
