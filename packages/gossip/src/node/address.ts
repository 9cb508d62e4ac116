import { MemplaneError } from '@memplane/contracts';

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/**
 * Takes `host:port` or `[IPv6]:port` apart.
 * @throws MemplaneError `invalid_request` when it is neither.
 */
export function parseAddress(address: string): HostAndPort {
  const match = /^(?:\[([0-9a-zA-Z:.%]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port >= 1 && port <= 65_535)) {
    throw new MemplaneError('invalid_request', `${address} is not host:port`, { field: 'address' });
  }
  return { host, port };
}

export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
