import { SERVICES } from '@memplane/contracts';
import { freePorts } from '@memplane/testkit/ports';
import { PORT_VARIABLES } from '../../../packages/standalone/src/plane/settings.ts';
import type { KubeletOptions } from './kubelet.ts';

/** Others for the ports of the standalone pod, since another plane may run on this machine. */
export async function standalonePorts(): Promise<
  Required<Pick<KubeletOptions, 'ports'>> & { readonly env: Record<string, string> }
> {
  const free = await freePorts(5);
  const ports: Record<number, number> = { [SERVICES['crdt-sync'].respPort]: free[4] ?? 0 };
  const env: Record<string, string> = { MEMPLANE_RESP_PORT: String(free[4]) };
  for (const [i, [service, { port }]] of Object.entries(SERVICES).entries()) {
    ports[port] = free[i] ?? 0;
    env[PORT_VARIABLES[service as keyof typeof PORT_VARIABLES]] = String(free[i]);
  }
  return { ports, env };
}
