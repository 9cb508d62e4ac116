import { SERVICES } from '@memplane/contracts';
import { NAME, type Rendered } from '../helm/lib/render.ts';
import { type Cluster, replicasOf } from './cluster.ts';
import { Pod, type PodEnd } from './pod.ts';
import type { Version } from './versions.ts';

export const COMPONENTS = Object.keys(SERVICES);

/** The pods of one Deployment or StatefulSet, and how they are replaced by those of another version. */
export class Workload {
  readonly component: string;
  readonly #cluster: Cluster;
  /** By ordinal, where it is a StatefulSet. */
  readonly #pods: Pod[] = [];
  #made = 0;

  constructor(cluster: Cluster, component: string) {
    this.#cluster = cluster;
    this.component = component;
  }

  get pods(): readonly Pod[] {
    return this.#pods;
  }

  /** Starts them all at once (`podManagementPolicy: Parallel`). */
  async start(version: Version): Promise<void> {
    const rendered = this.#cluster.render(version);
    const names = Array.from({ length: replicasOf(rendered, this.component) }, () => this.#name());
    // Those that find each other by a name are known before the first one asks.
    const addresses = names.map((name) => this.#cluster.newAddress(name));
    const starts = names.map((name, i) => this.#start(version, rendered, name, addresses[i]));
    const done = await Promise.allSettled(starts);
    for (const one of done) if (one.status === 'fulfilled') this.#pods.push(one.value);
    const failed = done.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }

  /** Replaces them one by one, each ready before the next one goes. */
  async roll(version: Version): Promise<PodEnd[]> {
    const rendered = this.#cluster.render(version);
    const isDeployment = rendered
      .all('Deployment')
      .some(({ metadata }) => String(metadata!['name']) === `${NAME}-${this.component}`);
    return isDeployment
      ? await this.#surge(version, rendered)
      : await this.#inOrder(version, rendered);
  }

  async kill(): Promise<void> {
    await Promise.all(this.#pods.map((pod) => pod.kill()));
  }

  /** `maxSurge: 1, maxUnavailable: 0`: the new one is ready before an old one goes. */
  async #surge(version: Version, rendered: Rendered): Promise<PodEnd[]> {
    const ends: PodEnd[] = [];
    for (const old of [...this.#pods]) {
      this.#pods.push(await this.#start(version, rendered, this.#name()));
      ends.push(await old.terminate());
      this.#pods.splice(this.#pods.indexOf(old), 1);
    }
    return ends;
  }

  /** From the highest ordinal down, in the same place: name and volumes stay, the address does not. */
  async #inOrder(version: Version, rendered: Rendered): Promise<PodEnd[]> {
    const ends: PodEnd[] = [];
    for (let i = this.#pods.length - 1; i >= 0; i--) {
      const old = this.#pods[i]!;
      ends.push(await old.terminate());
      this.#pods[i] = await this.#start(version, rendered, old.name);
    }
    return ends;
  }

  #start(version: Version, rendered: Rendered, name: string, address?: string): Promise<Pod> {
    return Pod.start({
      ...{ cluster: this.#cluster, version, rendered, component: this.component, name },
      ...(address === undefined ? {} : { address }),
    });
  }

  #name(): string {
    return `${NAME}-${this.component}-${this.#made++}`;
  }
}
