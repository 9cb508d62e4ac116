/**
 * What a caller may be allowed to do. A `writer` appends and changes values, a `reader` reads what its
 * tenant has, an `operator` sees and steers the plane, across tenants, an `auditor` reads who was
 * refused and what operators did.
 */
export const ROLES = ['writer', 'reader', 'operator', 'auditor'] as const;

export type Role = (typeof ROLES)[number];

/** Names the tenant that a call of one of the plane's own services is for; of nobody else it is believed. */
export const TENANT_HEADER = 'memplane-tenant';
