import { AUDIT_SETTINGS } from '../audit/settings.ts';
import { text } from '../config.ts';

/** Of every service: who may call, and what for. */
export const IDENTITY_SETTINGS = {
  tenantsFile: text(
    'MEMPLANE_TENANTS',
    undefined,
    'File (YAML or JSON) of tenants: tokens, issuers, applications; without it all is of one tenant.',
  ),
  planeToken: text(
    'MEMPLANE_PLANE_TOKEN',
    undefined,
    'What services prove themselves by to each other where no sidecar does; never for agents.',
  ),
  ...AUDIT_SETTINGS,
} as const;

/** What a service proves itself by to another one, where no sidecar stands between. */
export function serviceHeaders(config: {
  readonly token: string | undefined;
  readonly planeToken: string | undefined;
}): Readonly<Record<string, string>> {
  const token = config.planeToken ?? config.token;
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
}
