import { MemplaneError, SERVICES } from '@memplane/contracts';
import { ConfigError } from '../config.ts';
import { type Identity, PLANE } from './identity.ts';
import type { JwtIssuer, JwtIssuerParts } from './jwt-issuer.ts';
import { StaticTokens } from './static-tokens.ts';
import type { TenantsSettings } from './tenants-file.ts';

/** What a file of tenants says: who has which token, whom a token is believed from, which app is whose. */
export class Tenants {
  readonly settings: TenantsSettings;
  readonly #tokens: StaticTokens;
  readonly #issuers: ReadonlyMap<string, JwtIssuer>;
  readonly #apps = new Map<string, Identity>();
  readonly #decodeIssuer: (token: string) => string | undefined;

  private constructor(
    settings: TenantsSettings,
    tokens: StaticTokens,
    issuers: readonly JwtIssuer[],
    decodeIssuer: (token: string) => string | undefined,
  ) {
    this.settings = settings;
    this.#tokens = tokens;
    this.#issuers = new Map(issuers.map((one) => [one.issuer, one]));
    this.#decodeIssuer = decodeIssuer;
    for (const { appId, tenant, roles } of settings.apps) {
      const subject = `app:${appId}`;
      this.#apps.set(appId, { tenant, roles: new Set(roles), subject, isPlane: false });
    }
  }

  /** @throws ConfigError for a public key that is none */
  static async create(settings: TenantsSettings, parts: JwtIssuerParts): Promise<Tenants> {
    const tokens = new StaticTokens(settings.tokens, parts.now);
    if (settings.issuers.length === 0) return new Tenants(settings, tokens, [], () => undefined);
    // Loaded only where tokens are verified: a service that has none starts sooner.
    const [{ JwtIssuer: Issuer }, { decodeJwt }] = await Promise.all([
      import('./jwt-issuer.ts'),
      import('jose'),
    ]);
    const issuers = settings.issuers.map((one, i) => {
      try {
        return new Issuer(one, parts);
      } catch (cause) {
        throw new ConfigError(`file.issuers[${i}].publicKey is no public key in PEM`, { cause });
      }
    });
    return new Tenants(settings, tokens, issuers, (token) => decodeJwt(token).iss);
  }

  /** @throws MemplaneError `unauthorized`, `dependency_unavailable`; of a JWT as a rejection */
  ofToken(token: string): Identity | Promise<Identity> {
    const known = this.#tokens.find(token);
    if (known !== undefined) return known;
    const issuer = this.#issuerOf(token);
    if (issuer !== undefined) return issuer.verify(token);
    throw new MemplaneError('unauthorized', 'The token is not valid.');
  }

  /** @param appId as the own sidecar tells it; services of the plane act for all tenants */
  ofApp(appId: string): Identity | undefined {
    if (Object.hasOwn(SERVICES, appId)) return PLANE;
    return this.#apps.get(appId);
  }

  /** Who says to have issued it: only whose keys are to be tried. */
  #issuerOf(token: string): JwtIssuer | undefined {
    if (this.#issuers.size === 0 || token.split('.').length !== 3) return undefined;
    try {
      return this.#issuers.get(this.#decodeIssuer(token) ?? '');
    } catch {
      return undefined;
    }
  }
}
