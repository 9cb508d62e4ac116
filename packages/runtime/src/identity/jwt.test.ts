import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { exportJWK, SignJWT } from 'jose';
import { bearer, sayingRoute, startServer, tenantsFile } from './testing-access.ts';

const ISSUER = 'https://id.example.com/';
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const OTHER = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = RSA.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const ROUTES = [sayingRoute('reader'), sayingRoute('operator')];
const SETTINGS = { issuer: ISSUER, audience: 'memplane', algorithms: ['RS256'], publicKey: PEM };

interface Minted {
  readonly claims?: object;
  readonly key?: KeyObject;
  readonly kid?: string;
  readonly issuer?: string;
  readonly audience?: string;
  /** Seconds from now. */
  readonly expires?: number;
  readonly begins?: number;
}

async function mint(minted: Minted = {}): Promise<string> {
  const { claims = { tenant: 'acme', roles: ['reader'] }, key = RSA.privateKey, kid } = minted;
  const now = Math.floor(Date.now() / 1000);
  const token = new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'RS256', ...(kid === undefined ? {} : { kid }) })
    .setIssuer(minted.issuer ?? ISSUER)
    .setAudience(minted.audience ?? 'memplane')
    .setSubject('agent-7');
  if (minted.expires !== Number.POSITIVE_INFINITY) {
    token.setExpirationTime(now + (minted.expires ?? 60));
  }
  if (minted.begins !== undefined) token.setNotBefore(now + minted.begins);
  return token.sign(key);
}

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

test('of a good token the claims count: tenant, and roles that the issuer may give', async (t) => {
  const file = tenantsFile(t, { version: 1, issuers: [SETTINGS] });
  const get = await startServer(t, { routes: ROUTES, tenantsFile: file });
  assert.deepEqual((await get('/v1/reader', bearer(await mint()))).body, { tenant: 'acme' });
  const spaced = await mint({ claims: { tenant: 'acme', roles: 'writer reader' } });
  assert.equal((await get('/v1/reader', bearer(spaced))).status, 200);
  const greedy = await mint({ claims: { tenant: 'acme', roles: ['operator', 'reader'] } });
  assert.equal((await get('/v1/reader', bearer(greedy))).status, 200);
  assert.equal((await get('/v1/operator', bearer(greedy))).status, 403);
  const without = await mint({ claims: { tenant: 'acme' } });
  assert.equal((await get('/v1/reader', bearer(without))).status, 403);
});

test('claims are found by their names, else by a path', async (t) => {
  const claims = { tenantClaim: 'https://memplane/tenant', rolesClaim: 'access.roles' };
  const issuer = { ...SETTINGS, ...claims, tenantsAllowed: ['acme'] };
  const file = tenantsFile(t, { version: 1, issuers: [issuer] });
  const get = await startServer(t, { routes: ROUTES, tenantsFile: file });
  const of = (tenant: string) =>
    mint({ claims: { 'https://memplane/tenant': tenant, access: { roles: ['reader'] } } });
  assert.deepEqual((await get('/v1/reader', bearer(await of('acme')))).body, { tenant: 'acme' });
  assert.equal((await get('/v1/reader', bearer(await of('beta')))).status, 401);
});

test('whatever is wrong with a token, it is refused', async (t) => {
  const file = tenantsFile(t, { version: 1, issuers: [SETTINGS] });
  const get = await startServer(t, { routes: ROUTES, tenantsFile: file });
  const good = await mint();
  const [head = '', body = '', signature = ''] = good.split('.');
  const hs256 = part({ alg: 'HS256', typ: 'JWT' });
  const confused = createHmac('sha256', PEM).update(`${hs256}.${body}`).digest('base64url');
  const none = part({ alg: 'none' });
  const embedded = { alg: 'RS256', jwk: await exportJWK(OTHER.publicKey) };
  const claims = { tenant: 'beta', roles: ['reader'], iss: ISSUER, aud: 'memplane', exp: 9e9 };
  const wrong: Record<string, string> = {
    expired: await mint({ expires: -31 }),
    'without an end': await mint({ expires: Number.POSITIVE_INFINITY }),
    'not yet valid': await mint({ begins: 31 }),
    'of another audience': await mint({ audience: 'another' }),
    'of another issuer': await mint({ issuer: 'https://id.example.com' }),
    'of another key': await mint({ key: OTHER.privateKey }),
    'alg none': `${none}.${body}.`,
    'alg none with a signature': `${none}.${body}.${signature}`,
    'alg NoNe': `${part({ alg: 'NoNe' })}.${body}.`,
    'signed by the public key as a secret': `${hs256}.${body}.${confused}`,
    'a key of its own': `${part(embedded)}.${body}.${signature}`,
    'other claims': `${head}.${part(claims)}.${signature}`,
    'no signature': `${head}.${body}.`,
    'two parts': `${head}.${body}`,
    'no JSON': `${head}.${Buffer.from('{').toString('base64url')}.${signature}`,
    'no tenant': await mint({ claims: { roles: ['reader'] } }),
    'the tenant default': await mint({ claims: { tenant: 'default', roles: ['reader'] } }),
    'a tenant that is none': await mint({ claims: { tenant: 'a:b', roles: ['reader'] } }),
    'a tenant that is a list': await mint({ claims: { tenant: ['acme'], roles: ['reader'] } }),
  };
  for (const [what, token] of Object.entries(wrong)) {
    const { status, body: problem } = await get('/v1/reader', bearer(token));
    assert.deepEqual([status, problem['code']], [401, 'unauthorized'], what);
  }
  assert.equal((await get('/v1/reader', bearer('x'.repeat(1024 * 1024)))).status, 431);
  for (const within of [{ expires: -29 }, { begins: 29 }]) {
    assert.equal((await get('/v1/reader', bearer(await mint(within)))).status, 200);
  }
});

test('keys come from the issuer, by their ids', async (t) => {
  let asked = 0;
  const jwk = { ...(await exportJWK(RSA.publicKey)), kid: 'one', use: 'sig', alg: 'RS256' };
  const issuer = createServer((_request, response) => {
    asked++;
    response.end(JSON.stringify({ keys: [jwk] }));
  });
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
  t.after(() => issuer.close().closeAllConnections());
  const jwksUrl = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys`;
  const { publicKey: _, ...settings } = SETTINGS;
  const file = tenantsFile(t, { version: 1, issuers: [{ ...settings, jwksUrl }] });
  const get = await startServer(t, { routes: ROUTES, tenantsFile: file });
  const known = bearer(await mint({ kid: 'one' }));
  assert.equal((await get('/v1/reader', known)).status, 200);
  for (let i = 0; i < 20; i++) {
    assert.equal((await get('/v1/reader', bearer(await mint({ kid: `no-${i}` })))).status, 401);
    const forged = bearer(await mint({ kid: 'one', key: OTHER.privateKey }));
    assert.equal((await get('/v1/reader', forged)).status, 401);
  }
  assert.equal(asked, 1);
  await new Promise((resolve) => issuer.close(resolve).closeAllConnections());
  assert.equal((await get('/v1/reader', known)).status, 200);
});
