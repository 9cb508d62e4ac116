import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export interface StackSettings {
  /** Data, logs, secrets and the record of what runs. */
  readonly dir: string;
  /** The lowest of the 200 ports that the stack takes on 127.0.0.1. */
  readonly portBase: number;
  /** Where services and sidecars send their spans (OTLP over HTTP); nowhere without it. */
  readonly otlpEndpoint?: string;
  /** File of the consistency zones; without it all entities are eventual. */
  readonly zonesPath?: string;
  /** Instances that run in a network namespace of their own, e.g. `materializer-1`. */
  readonly apart?: readonly string[];
}

const PORT_BASE = 7200;

/**
 * From `MEMPLANE_STACK_DIR`, `MEMPLANE_STACK_PORT_BASE`, `MEMPLANE_ZONES` and
 * `OTEL_EXPORTER_OTLP_ENDPOINT`.
 *
 * @throws Error when the port is none
 */
export function stackSettings(env: NodeJS.ProcessEnv = process.env): StackSettings {
  const data = env['XDG_DATA_HOME'] || join(homedir(), '.local', 'share');
  const text = env['MEMPLANE_STACK_PORT_BASE'] || String(PORT_BASE);
  const portBase = Number(text);
  if (!Number.isInteger(portBase) || portBase < 1024 || portBase > 65_000) {
    throw new Error(`MEMPLANE_STACK_PORT_BASE is ${text}; it must be a port from 1024 to 65000`);
  }
  const otlpEndpoint = env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  const zones = env['MEMPLANE_ZONES'];
  return {
    dir: resolve(env['MEMPLANE_STACK_DIR'] || join(data, 'memplane', 'stack')),
    portBase,
    ...(otlpEndpoint ? { otlpEndpoint } : {}),
    ...(zones ? { zonesPath: resolve(zones) } : {}),
  };
}
