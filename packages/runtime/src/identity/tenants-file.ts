import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { AUDIT_TENANT, DEFAULT_TENANT, ROLES, SERVICES, TENANT_PATTERN } from '@memplane/contracts';
import { z } from 'zod';
import { ConfigError } from '../config.ts';
import { isLoopback } from '../loopback.ts';
import { validate } from '../validate.ts';

export const TENANTS_FILE_BYTES_MAX = 1024 * 1024;

/** Only those that a holder of the public key can not sign by. */
export const ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
] as const;

const tenantSchema = z
  .string()
  .regex(TENANT_PATTERN, 'must be a tenant: [a-z0-9-], at most 63')
  .refine((tenant) => tenant !== AUDIT_TENANT, 'is where the audit is, and nobody speaks for it');
const rolesSchema = z.array(z.enum(ROLES)).min(1).max(ROLES.length);
const nameSchema = z.string().min(1).max(200);

const staticTokenSchema = z.strictObject({
  /** Who it was given to, for the audit. */
  name: nameSchema,
  /** Of the token, as hex: `printf %s "$TOKEN" | sha256sum`. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/i, 'must be a SHA-256 digest, 64 hex digits'),
  tenant: tenantSchema,
  roles: rolesSchema,
  expires: z.iso.datetime({ offset: true }).optional(),
});

const issuerSchema = z
  .strictObject({
    /** What `iss` must be, exactly. */
    issuer: z.string().min(1).max(1000),
    /** What `aud` must be, or hold. */
    audience: z.string().min(1).max(1000),
    algorithms: z.array(z.enum(ALGORITHMS)).min(1),
    /** Where the keys are: https, or this machine. */
    jwksUrl: z
      .url()
      .refine(isSafeUrl, 'must begin with https://, or be of this machine')
      .optional(),
    /** A key in PEM (SPKI), here or in a file beside this one. */
    publicKey: z.string().max(20_000).optional(),
    publicKeyFile: z.string().min(1).optional(),
    /** The claim that names the tenant; a dot goes into an object. */
    tenantClaim: nameSchema.default('tenant'),
    /** An array, or a text with spaces between. */
    rolesClaim: nameSchema.default('roles'),
    /** What this issuer may give; other roles of a token count for nothing. */
    rolesAllowed: rolesSchema.default(['writer', 'reader']),
    /** Of which tenants it may speak; absent: of all but `default`. */
    tenantsAllowed: z.array(tenantSchema).min(1).max(10_000).optional(),
    clockToleranceSeconds: z.number().int().min(0).max(300).default(30),
  })
  .refine(
    ({ jwksUrl, publicKey, publicKeyFile }) =>
      [jwksUrl, publicKey, publicKeyFile].filter((one) => one !== undefined).length === 1,
    'needs exactly one of jwksUrl, publicKey and publicKeyFile',
  );

const appSchema = z.strictObject({
  appId: nameSchema.refine(
    (id) => !Object.hasOwn(SERVICES, id),
    'is one of the services, which act for all tenants',
  ),
  tenant: tenantSchema,
  roles: rolesSchema,
});

/** Absent: no limit. */
const quotasSchema = z.strictObject({
  /** By each instance of event-ingest. */
  events_per_second_max: z.number().int().min(1).optional(),
  bytes_per_second_max: z.number().int().min(1).optional(),
  /** In the whole plane: events that were ever stored, live memories, bytes of what entities are now. */
  events_total_max: z.number().int().min(1).optional(),
  memories_max: z.number().int().min(1).optional(),
  state_bytes_max: z.number().int().min(1).optional(),
});

const fileSchema = z.strictObject({
  version: z.literal(1),
  tokens: z.array(staticTokenSchema).max(10_000).default([]),
  issuers: z.array(issuerSchema).max(16).default([]),
  apps: z.array(appSchema).max(10_000).default([]),
  /** Requests of one tenant that a service has under way at once; absent: half of its limit. */
  tenant_inflight_requests_max: z.number().int().min(1).optional(),
  /** Of each tenant. */
  quotas: quotasSchema.default({}),
  /** Of one tenant: what is named here counts in place of the above. */
  tenant_quotas: z.record(tenantSchema, quotasSchema).default({}),
});

export type StaticTokenSettings = z.output<typeof staticTokenSchema>;
export type IssuerSettings = Omit<z.output<typeof issuerSchema>, 'publicKeyFile'>;
export type QuotaSettings = z.output<typeof quotasSchema>;
export type AppSettings = z.output<typeof appSchema>;
export type TenantsSettings = Omit<z.output<typeof fileSchema>, 'issuers'> & {
  readonly issuers: readonly IssuerSettings[];
};

/** @throws ConfigError that names the file and what is wrong with it */
export async function readTenantsFile(file: string): Promise<TenantsSettings> {
  try {
    const text = await readFile(file, 'utf8');
    if (text.length > TENANTS_FILE_BYTES_MAX) throw new Error('it is larger than 1 MiB');
    const found = validate(fileSchema, await parse(text), 'file');
    refuseTwins(
      'tokens',
      'sha256',
      found.tokens.map(({ sha256 }) => sha256.toLowerCase()),
    );
    refuseTwins(
      'apps',
      'appId',
      found.apps.map(({ appId }) => appId),
    );
    refuseTwins(
      'issuers',
      'issuer',
      found.issuers.map(({ issuer }) => issuer),
    );
    return { ...found, issuers: await Promise.all(found.issuers.map((one) => withKey(file, one))) };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`the tenants of ${file} can not be read: ${why}`, { cause });
  }
}

/** Of which tenants an issuer may speak. `default` is the plane's own: only by name. */
export function mayNameTenant({ tenantsAllowed }: IssuerSettings, tenant: string): boolean {
  if (tenant === AUDIT_TENANT) return false;
  return tenantsAllowed === undefined ? tenant !== DEFAULT_TENANT : tenantsAllowed.includes(tenant);
}

/** The parser is loaded only where a plane has tenants. */
async function parse(text: string): Promise<unknown> {
  const { parseYaml } = await import('./yaml-text.ts');
  return parseYaml(text);
}

async function withKey(
  file: string,
  { publicKeyFile, ...issuer }: z.output<typeof issuerSchema>,
): Promise<IssuerSettings> {
  if (publicKeyFile === undefined) return issuer;
  const publicKey = await readFile(path.resolve(path.dirname(file), publicKeyFile), 'utf8');
  return { ...issuer, publicKey };
}

function refuseTwins(list: string, field: string, values: readonly string[]): void {
  const seen = new Set<string>();
  for (const [index, value] of values.entries()) {
    if (seen.has(value)) throw new Error(`file.${list}[${index}].${field} is there twice`);
    seen.add(value);
  }
}

/** Whoever is between could give keys of their own. */
function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  if (protocol === 'https:') return true;
  return protocol === 'http:' && isLoopback(hostname.replace(/^\[|\]$/g, ''));
}
