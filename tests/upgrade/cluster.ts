import { randomBytes, randomInt } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { redisBinary, ServerProcess } from '@memplane/stack';
import {
  list,
  NAME,
  NAMESPACE,
  type Rendered,
  type Resource,
  renderFile,
  root,
} from '../helm/lib/render.ts';
import { Endpoints } from './endpoints.ts';
import { type Servers, startServers, VALUES } from './servers.ts';
import { type SidecarPlan, sidecarPlan } from './sidecar.ts';
import type { Version } from './versions.ts';

const ADDRESSES_MAX = 250;
const HEADLESS = `${NAME}-crdt-sync-gossip.${NAMESPACE}.svc.cluster.local:7946`;

/**
 * What pods of this machine share: the servers beside the chart, addresses of 127/8 (so that all of
 * them have the chart's own ports), secrets, who finds whom, and an agent with a sidecar.
 */
export class Cluster implements AsyncDisposable {
  readonly dir: string;
  readonly servers: Servers;
  readonly redis: Awaited<ReturnType<typeof redisBinary>>;
  readonly #secrets = new Map<string, string>();
  /** Drawn, so that runs do not meet. */
  readonly #network = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
  /** Of pods that are or are to be. */
  readonly #addresses = new Map<string, string>();
  #given = 0;
  #endpoints: Endpoints | undefined;
  #agent: { readonly plan: SidecarPlan; readonly process: ServerProcess } | undefined;

  private constructor(
    dir: string,
    servers: Servers,
    redis: Awaited<ReturnType<typeof redisBinary>>,
  ) {
    this.dir = dir;
    this.servers = servers;
    this.redis = redis;
  }

  static async start(dir: string, version: Version): Promise<Cluster> {
    chmodSync(dir, 0o755);
    const cluster = new Cluster(dir, await startServers(dir), await redisBinary());
    try {
      await cluster.#startAgent(cluster.render(version));
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What the chart of a version makes of the values. */
  render(version: Version): Rendered {
    const file = join(this.dir, 'values.yaml');
    // JSON is YAML.
    writeFileSync(file, JSON.stringify(VALUES));
    return renderFile(file, version.chart);
  }

  /** Where the agent's sidecar answers, and what it wants to be shown. */
  get agent(): { readonly endpoint: string; readonly apiToken: string } {
    if (this.#agent === undefined) throw new Error('there is no agent');
    return {
      endpoint: this.#agent.plan.endpoint,
      apiToken: this.secretOf('memplane-agent-api', 'token'),
    };
  }

  get endpoints(): Endpoints {
    if (this.#endpoints === undefined) throw new Error('no sidecar has started');
    return this.#endpoints;
  }

  /** A new one at each start of a pod, as in a cluster. */
  newAddress(pod: string): string {
    if (++this.#given > ADDRESSES_MAX) throw new Error('no addresses are left');
    const address = `${this.#network}.${this.#given}`;
    this.#addresses.set(pod, address);
    return address;
  }

  /** Made when it is asked for first. */
  readonly secretOf = (name: string, key: string): string => {
    if (name === 'memplane-redis') return this.servers.redisPassword;
    const found = this.#secrets.get(`${name}/${key}`) ?? randomBytes(32).toString('base64');
    this.#secrets.set(`${name}/${key}`, found);
    return found;
  };

  /** Puts what is here in the place of the cluster's names, for a pod at an address. */
  inPlace(text: string, address: string): string {
    const pods = [...this.#addresses].filter(([pod]) => pod.includes('-crdt-sync-'));
    let made = text
      .replaceAll('127.0.0.1', address)
      .replaceAll('redis-cli ping', `redis-cli -h ${address} ping`)
      .replaceAll(HEADLESS, pods.map(([, each]) => `${each}:7946`).join());
    for (const [name, where] of this.servers.addresses) made = made.replaceAll(name, where);
    return made;
  }

  /** @param annotations of a pod @param configFile another Configuration than they name */
  sidecarPlan(
    name: string,
    address: string,
    annotations: Resource,
    rendered: Rendered,
    configFile?: string,
  ): Promise<SidecarPlan> {
    const dir = join(this.dir, `${name}-${address}`);
    mkdirSync(dir, { recursive: true });
    return sidecarPlan({
      ...{ dir, name, address, annotations, rendered, servers: this.servers },
      ...(configFile === undefined ? {} : { configFile }),
      namesFile: join(this.dir, 'names.db'),
      token: (secret) => this.secretOf(secret, 'token'),
      inPlace: (text) => this.inPlace(text, address),
    });
  }

  get redisEnv(): Record<string, string> {
    const { command, libraryPath } = this.redis;
    const folders = command.includes('/') ? `${dirname(command)}:/usr/bin:/bin` : '/usr/bin:/bin';
    return {
      PATH: folders,
      ...(libraryPath === undefined ? {} : { LD_LIBRARY_PATH: libraryPath }),
    };
  }

  /** An application of another team: with its own Configuration, and no port. */
  async #startAgent(rendered: Rendered): Promise<void> {
    const annotations = {
      'dapr.io/app-id': 'agent',
      'dapr.io/max-body-size': '8Mi',
      'dapr.io/api-token-secret': 'memplane-agent-api',
    } as unknown as Resource;
    const config = join(root, 'dapr/config/agent.yaml');
    const address = this.newAddress('agent');
    const plan = await this.sidecarPlan('agent', address, annotations, rendered, config);
    this.#agent = { plan, process: await ServerProcess.start(plan) };
    this.#endpoints = new Endpoints(join(this.dir, 'names.db'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#endpoints?.[Symbol.dispose]();
    await this.#agent?.process.kill();
    await this.servers[Symbol.asyncDispose]();
  }
}

/** How many pods a Deployment or StatefulSet has. */
export function replicasOf(rendered: Rendered, component: string): number {
  const all = [...rendered.all('Deployment'), ...rendered.all('StatefulSet')];
  const found = all.find(({ metadata }) => String(metadata!['name']) === `${NAME}-${component}`);
  if (found === undefined) throw new Error(`no workload ${component}`);
  return Number(found['spec']!['replicas']);
}

/** The init container that goes on beside the others: Redis, where there is one. */
export function companionOf(pod: Resource): Resource | undefined {
  return list(pod['spec']!['initContainers']).find(
    (container) => String(container['restartPolicy']) === 'Always',
  );
}
