import { join } from 'node:path';
import { type ServerPlan, ServerProcess } from '@memplane/stack';
import { ContainerProcess, type KubeletOptions } from '../helm/lib/kubelet.ts';
import { NAME, named, pods, type Rendered, type Resource } from '../helm/lib/render.ts';
import { type Cluster, companionOf } from './cluster.ts';
import type { Version } from './versions.ts';

/** More often than the chart asks until a pod is ready: a cluster goes on asking. */
const READY_ATTEMPTS_MAX = 150;

export interface PodOptions {
  readonly cluster: Cluster;
  readonly version: Version;
  readonly rendered: Rendered;
  /** E.g. `materializer`. */
  readonly component: string;
  readonly name: string;
  /** Where others expect it; a new one unless given. */
  readonly address?: string;
}

/** How a pod ended: in ms, and how much it had. */
export interface PodEnd {
  readonly afterMs: number;
  readonly graceMs: number;
  /** Of the application; `null`: it was killed. */
  readonly code: number | null;
}

/** A rendered pod as processes at an address of its own: application, sidecar and Redis. */
export class Pod {
  readonly name: string;
  readonly version: Version;
  readonly address: string;
  readonly #cluster: Cluster;
  readonly #app: ContainerProcess;
  readonly #sidecar: ServerProcess;
  readonly #companion: ContainerProcess | undefined;

  private constructor(
    options: PodOptions,
    address: string,
    parts: { app: ContainerProcess; sidecar: ServerProcess; companion?: ContainerProcess },
  ) {
    this.name = options.name;
    this.version = options.version;
    this.#cluster = options.cluster;
    this.address = address;
    this.#app = parts.app;
    this.#sidecar = parts.sidecar;
    this.#companion = parts.companion;
  }

  /** Resolves once it is ready, and others find it. @throws Error with what it has said */
  static async start(options: PodOptions): Promise<Pod> {
    const { cluster, rendered, component, name } = options;
    const address = options.address ?? cluster.newAddress(name);
    const template = pods(rendered).get(component);
    if (template === undefined) throw new Error(`no pod ${component}`);
    const annotations = template['metadata']!['annotations']!;
    const plan = await cluster.sidecarPlan(name, address, annotations, rendered);
    const container = named(template['spec']!['containers'], component);
    const how = kubeletOptions(options, address, plan.endpoint);
    const companion = await startCompanion(template, how, cluster);
    const app = new ContainerProcess(template, container, how);
    try {
      // Each waits for the other.
      const [sidecar] = await Promise.all([startSidecar(plan, app), ready(app)]);
      cluster.endpoints.add(address);
      return new Pod(options, address, { app, sidecar, ...(companion && { companion }) });
    } catch (error) {
      await Promise.all([app.kill(), companion?.kill()]);
      throw new Error(`${name} (${options.version.name}) did not become ready`, { cause: error });
    }
  }

  /**
   * As a cluster ends a pod with native sidecars: nobody is sent to it any more, preStop, SIGTERM to the
   * application, then to its sidecars in turn; SIGKILL once the grace period is over.
   */
  async terminate(): Promise<PodEnd> {
    const started = performance.now();
    this.#cluster.endpoints.remove(this.address);
    const { code, graceMs } = await this.#app.end();
    await this.#sidecar.stop();
    await this.#companion?.end();
    return { code, graceMs, afterMs: performance.now() - started };
  }

  /** The end of a machine: nobody is told. */
  async kill(): Promise<void> {
    await Promise.all([this.#app.kill(), this.#sidecar.kill(), this.#companion?.kill()]);
  }
}

async function startSidecar(plan: ServerPlan, app: ContainerProcess): Promise<ServerProcess> {
  const starting = ServerProcess.start(plan);
  const ended = app.exit.then(() => {
    // Whenever it gets there, nobody waits for it.
    starting.then(
      (late) => late.kill(),
      () => {},
    );
    throw new Error(`the application has ended: ${app.said.slice(-4_000)}`);
  });
  return Promise.race([starting, ended]);
}

async function ready(app: ContainerProcess): Promise<void> {
  await app.until('startupProbe');
  await app.until('readinessProbe', READY_ATTEMPTS_MAX);
}

async function startCompanion(
  template: Resource,
  how: KubeletOptions,
  { redis, redisEnv }: Cluster,
): Promise<ContainerProcess | undefined> {
  const container = companionOf(template);
  if (container === undefined) return undefined;
  const isOwnUser = redis.command.includes('/');
  const companion = new ContainerProcess(template, container, {
    ...how,
    isOwnUser,
    env: redisEnv,
  });
  try {
    await companion.until('startupProbe');
    return companion;
  } catch (error) {
    await companion.kill();
    throw error;
  }
}

function kubeletOptions(
  { cluster, version, rendered, component, name }: PodOptions,
  address: string,
  sidecar: string,
): KubeletOptions {
  // Claims stay with the name of a pod, all else with its life.
  const claim = (volume: string) => join(cluster.dir, 'claims', name, volume);
  const own = (volume: string) => join(cluster.dir, `${name}-${address}`, volume);
  const volumes = ['tmp', 'redis', 'redis-run'].map((volume) => [volume, own(volume)] as const);
  const redisFiles = `${NAME}-redis`;
  return {
    app: version.app,
    address,
    // Both versions are in folders of whoever runs this.
    isOwnUser: true,
    volumes: Object.fromEntries([...volumes, ['data', claim('data')]]),
    files: component === 'crdt-sync' ? { [redisFiles]: rendered.get('ConfigMap', redisFiles) } : {},
    fields: { 'metadata.name': name, 'status.podIP': address },
    secrets: cluster.secretOf,
    texts: (text) => cluster.inPlace(text, address),
    env: {
      // All pods share this machine's addresses: each listens on its own alone.
      MEMPLANE_HOST: address,
      MEMPLANE_GOSSIP_HOST: address,
      DAPR_HTTP_ENDPOINT: sidecar,
    },
  };
}
