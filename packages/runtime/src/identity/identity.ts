import { DEFAULT_TENANT, MemplaneError, ROLES, type Role } from '@memplane/contracts';

/** A verified caller. */
export interface Identity {
  readonly tenant: string;
  readonly roles: ReadonlySet<Role>;
  /** Who it is, for the audit: never a secret. */
  readonly subject: string;
  /** One of the plane's own services: it acts for any tenant. */
  readonly isPlane: boolean;
  /** Milliseconds since 1970, where what it showed ends; for what outlives a request. */
  readonly expiresMs?: number;
}

const ALL_ROLES: ReadonlySet<Role> = new Set(ROLES);

/** Whoever is let in where the plane has no tenants. */
export const ANYONE: Identity = {
  tenant: DEFAULT_TENANT,
  roles: ALL_ROLES,
  subject: 'anyone',
  isPlane: false,
};

/** The holder of the plane's one token: everything of the tenant `default`, and no other one's. */
export const TOKEN_HOLDER: Identity = { ...ANYONE, subject: 'token' };

/** A service of the plane. */
export const PLANE: Identity = { ...ANYONE, subject: 'plane', isPlane: true };

/** @throws MemplaneError `forbidden` */
export function expectRole(identity: Identity, role: Role | 'plane' | undefined): void {
  if (identity.isPlane) return;
  if (role !== undefined && role !== 'plane' && identity.roles.has(role)) return;
  throw new MemplaneError(
    'forbidden',
    role === undefined || role === 'plane'
      ? 'This is for services of the plane alone.'
      : `This needs the role ${role}.`,
    { extra: { role: role ?? 'plane' } },
  );
}
