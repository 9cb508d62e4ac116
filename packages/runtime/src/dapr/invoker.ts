import { SERVICES, type ServiceName } from '@memplane/contracts';
import { createHttpInvoker, type Invoker } from '../invoker.ts';
import { safePath } from './safe-path.ts';
import { API_TOKEN_HEADER, type SidecarConfig } from './sidecar.ts';
import { sidecarError } from './sidecar-error.ts';

/**
 * Calls other services through the application's sidecar, which finds them, proves who calls and
 * bounds retries. A problem of the callee comes back with its own code.
 */
export function createDaprInvoker(sidecar: SidecarConfig): Invoker {
  const names = Object.keys(SERVICES) as ServiceName[];
  const urls = names.map((name) => [name, `${sidecar.url}/v1.0/invoke/${name}/method`]);
  return createHttpInvoker(Object.fromEntries(urls) as Record<ServiceName, string>, {
    headers: { [API_TOKEN_HEADER]: sidecar.apiToken },
    pathOf: safePath,
    errorOf: sidecarError,
  });
}
