import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PLANE_VERSION, type ServiceName } from '@memplane/contracts';
import type { ApartNet } from './apart.ts';
import { checkHttp } from './http-check.ts';
import type { ServerPlan } from './plan.ts';

const repository = fileURLToPath(new URL('../../../../', import.meta.url));

/** Sidecar and application wait for each other, and all of them start at once on a few cores. */
const READY_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 20_000;

export interface ServiceOptions {
  readonly service: ServiceName;
  /** Unique in its stack, e.g. `materializer-2`; the instance is called so by its peers too. */
  readonly name: string;
  readonly dir: string;
  readonly port: number;
  /** More TCP ports that it listens on. */
  readonly morePorts?: readonly number[];
  /** Settings beside port and instance. */
  readonly env: Readonly<Record<string, string>>;
}

export interface ServicePlan extends ServerPlan {
  readonly service: ServiceName;
  readonly port: number;
  /** Set where it is in a network namespace of its own. */
  readonly apart?: ApartNet;
}

/**
 * How Node is started for a service. crdt-sync keeps next to nothing itself where its values are in
 * a Redis, but V8's young generation grows under load and stays: bounded, it holds a quarter less.
 */
export function nodeFlags(service: ServiceName): readonly string[] {
  return service === 'crdt-sync' ? ['--max-semi-space-size=8'] : [];
}

/** One instance of a service of the plane, from its bundle in `dist/services/`. */
export function servicePlan(options: ServiceOptions): ServicePlan {
  const { service, name, dir, port } = options;
  const program = join(repository, 'dist', 'services', `${service}.js`);
  return {
    service,
    name,
    version: PLANE_VERSION,
    tier: 'application',
    command: process.execPath,
    args: [...nodeFlags(service), program],
    cwd: dir,
    env: { MEMPLANE_INSTANCE: name, [portSetting(service)]: String(port), ...options.env },
    ports: [port, ...(options.morePorts ?? [])],
    logFile: join(dir, `${name}.log`),
    prepare: async () => {
      if (!existsSync(program)) throw new Error(`${program} is not built: \`make build\``);
      mkdirSync(dir, { recursive: true });
    },
    check: () => checkHttp(`http://127.0.0.1:${port}/readyz`),
    readyTimeoutMs: READY_TIMEOUT_MS,
    stopTimeoutMs: STOP_TIMEOUT_MS,
    port,
  };
}

/** `materializer` listens on `MEMPLANE_MATERIALIZER_PORT`. */
function portSetting(service: ServiceName): string {
  return `MEMPLANE_${service.toUpperCase().replaceAll('-', '_')}_PORT`;
}
