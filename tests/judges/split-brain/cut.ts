import { execFileSync } from 'node:child_process';
import { Namespace } from '../../replicas/namespace.ts';

/** Of RFC 2544, for tests between devices: nothing on a network is there. */
const HOST = '198.19.255.253';
const INSIDE = '198.19.255.254';
/** A queue without a place drops all; unlike netem it is part of every kernel. */
const DROP_ALL = ['root', 'pfifo', 'limit', '0'];
const LINK = 'holds0';

/** A network namespace with one link to this machine, which can be cut: nobody is told. */
export class Cuttable implements AsyncDisposable {
  /** Where this machine is, seen from inside. */
  readonly host = HOST;
  readonly namespace: Namespace;
  readonly #link = `mph${process.pid}`;

  private constructor(namespace: Namespace) {
    this.namespace = namespace;
  }

  static async create(): Promise<Cuttable> {
    const cuttable = new Cuttable(await Namespace.create());
    const { namespace } = cuttable;
    const link = cuttable.#link;
    const peer = ['peer', 'name', LINK, 'netns', `${namespace.pid}`];
    execFileSync('ip', ['link', 'add', 'name', link, 'type', 'veth', ...peer]);
    execFileSync('ip', ['addr', 'add', `${HOST}/30`, 'dev', link]);
    execFileSync('ip', ['link', 'set', link, 'up']);
    await namespace.script([`ip addr add ${INSIDE}/30 dev ${LINK}`, `ip link set ${LINK} up`]);
    return cuttable;
  }

  /** No packet passes for so long, either way; what is sent meanwhile comes later. */
  async cut(ms: number): Promise<void> {
    const link = this.#link;
    execFileSync('tc', ['qdisc', 'replace', 'dev', link, ...DROP_ALL]);
    await this.namespace.script([`tc qdisc replace dev ${LINK} ${DROP_ALL.join(' ')}`]);
    await new Promise((resolve) => setTimeout(resolve, ms));
    execFileSync('tc', ['qdisc', 'del', 'dev', link, 'root']);
    await this.namespace.script([`tc qdisc del dev ${LINK} root`]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.namespace[Symbol.asyncDispose]();
  }
}
