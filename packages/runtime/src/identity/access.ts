import type { IncomingHttpHeaders } from 'node:http';
import { MemplaneError, type Role, TENANT_HEADER, TENANT_PATTERN } from '@memplane/contracts';
import { bearerOf, TOKEN_CHARS_MAX, TokenCheck } from '../auth.ts';
import type { Logger } from '../logger.ts';
import { FileChanges } from './file-changes.ts';
import { ANYONE, expectRole, type Identity, PLANE, TOKEN_HOLDER } from './identity.ts';
import { Tenants } from './tenants.ts';
import { type QuotaSettings, readTenantsFile } from './tenants-file.ts';

export interface AccessOptions {
  /** The plane's one token: tenant `default`, all roles. */
  readonly token: string | undefined;
  /** What the service's own sidecar proves itself by. */
  readonly appToken?: string | undefined;
  /** What services of the plane prove themselves by to each other where no sidecar does. */
  readonly planeToken?: string | undefined;
  /** Tokens, issuers and applications by tenant. Without it every caller is of `default`. */
  readonly tenantsFile?: string | undefined;
  readonly logger: Logger;
}

const RELOAD_MS = 1_000;

/** Whoever is behind the own sidecar, when that names nobody: deliveries and timers, no roles. */
const SIDECAR: Identity = { ...ANYONE, roles: new Set(), subject: 'sidecar' };

/** Who a caller is, by what it shows. */
export class Access {
  readonly #options: AccessOptions;
  readonly #check: TokenCheck | undefined;
  readonly #appCheck: TokenCheck | undefined;
  readonly #planeCheck: TokenCheck | undefined;
  #tenants: Tenants | undefined;
  #changes: FileChanges | undefined;
  #opening: Promise<void> | undefined;
  #version = 0;

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#check = options.token ? new TokenCheck(options.token) : undefined;
    this.#appCheck = options.appToken ? new TokenCheck(options.appToken) : undefined;
    this.#planeCheck = options.planeToken ? new TokenCheck(options.planeToken) : undefined;
  }

  /** Reads the tenants, and again whenever they change. @throws ConfigError */
  open(): Promise<void> {
    this.#opening ??= this.#open();
    return this.#opening;
  }

  close(): void {
    this.#changes?.close();
  }

  /** Whether callers are told apart; else each may do everything that `default` may. */
  get hasTenants(): boolean {
    return this.#options.tenantsFile !== undefined;
  }

  get isSecured(): boolean {
    return this.hasTenants || this.#check !== undefined || this.#appCheck !== undefined;
  }

  /** Another one after each reading: what a caller was allowed before is to be asked again. */
  get version(): number {
    return this.#version;
  }

  /** Whether the service's own sidecar calls: it alone shows the application's token. */
  isBySidecar(headers: IncomingHttpHeaders): boolean {
    const token = headers['dapr-api-token'];
    return typeof token === 'string' && this.#appCheck?.matches(token) === true;
  }

  /** @throws MemplaneError `unauthorized`, `dependency_unavailable`; of a JWT as a rejection */
  identify(headers: IncomingHttpHeaders): Identity | Promise<Identity> {
    if (!this.isSecured) return ANYONE;
    const { authorization } = headers;
    const token = bearerOf(authorization);
    if (!this.hasTenants) {
      if (this.isBySidecar(headers)) return ANYONE;
      const checks = token === undefined ? [] : [this.#check, this.#planeCheck];
      if (checks.some((check) => check?.matches(token ?? ''))) return ANYONE;
      throw this.#unauthorized();
    }
    if (authorization !== undefined) {
      if (token === undefined) throw this.#unauthorized();
      return this.ofToken(token);
    }
    if (!this.isBySidecar(headers)) throw this.#unauthorized();
    const appId = headers['dapr-caller-app-id'];
    return (typeof appId === 'string' && this.#tenants?.ofApp(appId)) || SIDECAR;
  }

  /** @throws like `identify` */
  ofToken(token: string): Identity | Promise<Identity> {
    if (token.length > TOKEN_CHARS_MAX) throw this.#unauthorized();
    if (!this.hasTenants) {
      if (this.#check === undefined || this.#check.matches(token)) return ANYONE;
      throw this.#unauthorized();
    }
    if (this.#planeCheck?.matches(token)) return PLANE;
    if (this.#check?.matches(token)) return TOKEN_HOLDER;
    if (this.#tenants === undefined) throw new Error('the tenants have not been read yet');
    return this.#tenants.ofToken(token);
  }

  /**
   * Where the plane has tenants, whoever has not what an operation needs may not call it.
   * @throws MemplaneError `forbidden`
   */
  authorize(identity: Identity, needs: Role | 'plane' | undefined): void {
    if (this.hasTenants) expectRole(identity, needs);
  }

  /** Whether it may be told of all tenants; never throws. */
  async seesPlane(headers: IncomingHttpHeaders): Promise<boolean> {
    if (!this.hasTenants) return true;
    try {
      const { isPlane, roles } = await this.identify(headers);
      return isPlane || roles.has('operator');
    } catch {
      return false;
    }
  }

  /**
   * Whom a call is for: its caller's tenant, or of a service of the plane the one that it names.
   * @throws MemplaneError `forbidden` for another tenant than the caller's
   */
  tenantOf(identity: Identity, headers: IncomingHttpHeaders): string {
    if (!this.hasTenants) return identity.tenant;
    const named = headers[TENANT_HEADER];
    if (named === undefined || named === identity.tenant) return identity.tenant;
    if (identity.isPlane && typeof named === 'string' && TENANT_PATTERN.test(named)) return named;
    throw new MemplaneError('forbidden', 'A tenant comes with the token, not in a header.', {
      field: `headers.${TENANT_HEADER}`,
    });
  }

  /** Requests of one tenant that may be under way at once, of so many in all. */
  tenantShareOf(inflight_requests_max: number): number {
    const share = this.#tenants?.settings.tenant_inflight_requests_max;
    return share ?? Math.max(1, Math.floor(inflight_requests_max / 2));
  }

  /** What a tenant may append in a second, and have stored, as the file has it now. */
  quotasOf(tenant: string): QuotaSettings {
    const { quotas = {}, tenant_quotas = {} } = this.#tenants?.settings ?? {};
    const own = Object.hasOwn(tenant_quotas, tenant) ? tenant_quotas[tenant] : undefined;
    return own === undefined ? quotas : { ...quotas, ...own };
  }

  async #open(): Promise<void> {
    const { tenantsFile } = this.#options;
    if (tenantsFile === undefined) return;
    const changes = new FileChanges(tenantsFile);
    this.#changes = changes;
    // A file that is not there is told by its reading.
    await changes.look().catch(() => {});
    await this.#load(tenantsFile);
    changes.start(RELOAD_MS, () => this.#reload(tenantsFile));
  }

  async #reload(tenantsFile: string): Promise<void> {
    const { logger } = this.#options;
    try {
      await this.#load(tenantsFile);
      logger.info({ tenantsFile }, 'the tenants were read again');
    } catch (err) {
      logger.error({ err }, 'the tenants stay as they were');
    }
  }

  async #load(file: string): Promise<void> {
    const { logger } = this.#options;
    this.#tenants = await Tenants.create(await readTenantsFile(file), {
      now: Date.now,
      monotonicMs: () => performance.now(),
      onKeyFailure: (issuer, err) => logger.warn({ err, issuer }, 'no keys came from the issuer'),
    });
    this.#version++;
  }

  #unauthorized(): MemplaneError {
    return new MemplaneError(
      'unauthorized',
      this.hasTenants || this.#check
        ? 'Send the token as `Authorization: Bearer …`.'
        : 'Only calls through the sidecar are served.',
    );
  }
}
