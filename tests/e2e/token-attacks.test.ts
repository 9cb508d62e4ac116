/** Tokens of attackers, against a plane of its own whose issuer is a real server of keys. */
import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, before, test } from 'node:test';
import {
  bearerOf,
  call,
  Plane,
  type PlaneService,
  ScratchFolder,
  SERVICE_NAMES,
  writeTenants,
} from '@memplane/testkit';

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const OTHER = generateKeyPairSync('rsa', { modulusLength: 2048 });
const PEM = RSA.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const ISSUER = 'https://id.example.com/';
const folder = new ScratchFolder('token-attacks');
let asked = 0;
const issuer = createServer((_request, response) => {
  asked++;
  const jwk = { ...RSA.publicKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256' };
  response.end(JSON.stringify({ keys: [jwk] }));
});
let plane: Plane;

before(async () => {
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
  const jwksUrl = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys`;
  const settings = { issuer: ISSUER, audience: 'memplane', algorithms: ['RS256'], jwksUrl };
  const tenants = writeTenants(folder.path, {}, { issuers: [settings] });
  const env = { MEMPLANE_TENANTS: tenants };
  plane = await Plane.start({ dataDir: `${folder.path}/plane`, env, readyTimeoutMs: 240_000 });
});
after(async () => {
  issuer.close().closeAllConnections();
  await plane[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const nowSeconds = () => Math.floor(Date.now() / 1000);

function claims(more: object = {}): object {
  const own = { tenant: 'acme', roles: ['reader', 'writer', 'operator'], sub: 'agent-7' };
  return { iss: ISSUER, aud: 'memplane', exp: nowSeconds() + 300, ...own, ...more };
}

function mint(more: object = {}, head: object = {}, key: KeyObject = RSA.privateKey): string {
  const text = `${part({ alg: 'RS256', kid: 'one', ...head })}.${part(claims(more))}`;
  return `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`;
}

/** What each service is asked, with what a good token is answered. */
const READS: Record<PlaneService, [path: string, status: number]> = {
  'event-ingest': ['/openapi.json', 200],
  materializer: ['/v1/entities/user/none', 404],
  'crdt-sync': ['/v1/counters/n', 200],
  'vector-index': ['/openapi.json', 200],
};

async function statusOf(service: PlaneService, token: string): Promise<number> {
  const [path] = READS[service];
  const answer = await call<{ code?: string }>('GET', plane.url(service) + path, {
    headers: bearerOf(token),
  });
  if (answer.status === 401) assert.equal(answer.body.code, 'unauthorized');
  return answer.status;
}

/** What `AUTH` is answered over RESP. */
async function respAuth(token: string): Promise<string> {
  const socket = connect(plane.ports.resp, '127.0.0.1');
  socket.write(`*2\r\n$4\r\nAUTH\r\n$${Buffer.byteLength(token)}\r\n${token}\r\n`);
  const [answer] = await once(socket, 'data');
  socket.destroy();
  return String(answer);
}

test('a good token is let in by every service and over RESP', async () => {
  for (const service of SERVICE_NAMES) {
    assert.equal(await statusOf(service, mint()), READS[service][1], service);
  }
  assert.equal(await respAuth(mint()), '+OK\r\n');
});

test('a token that is expired, forged, of another audience or algorithm is let in nowhere', async () => {
  const [head = '', body = '', signature = ''] = mint().split('.');
  const none = part({ alg: 'none', kid: 'one' });
  const confused = (alg: string, secret: string) => {
    const text = `${part({ alg, kid: 'one' })}.${body}`;
    return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
  };
  const jwk = OTHER.publicKey.export({ format: 'jwk' });
  const wrong: Record<string, string> = {
    expired: mint({ exp: nowSeconds() - 31 }),
    'without an end': mint({ exp: undefined }),
    'not yet valid': mint({ nbf: nowSeconds() + 60 }),
    'of another audience': mint({ aud: 'another' }),
    'of no audience': mint({ aud: undefined }),
    'of another issuer': mint({ iss: 'https://id.example.com' }),
    'alg none': `${none}.${body}.`,
    'alg none with a signature': `${none}.${body}.${signature}`,
    'the public key as a secret': confused('HS256', PEM),
    'the trimmed public key as a secret': confused('HS256', PEM.trim()),
    'the modulus as a secret': confused('HS256', String(RSA.publicKey.export({ format: 'jwk' }).n)),
    'signed by another key': mint({}, {}, OTHER.privateKey),
    'a key that it brings along': mint({}, { jwk }, OTHER.privateKey),
    'a place for its key': mint({}, { jku: 'http://127.0.0.1/keys' }, OTHER.privateKey),
    'a critical header that nobody knows': mint({}, { crit: ['x'], x: 1 }),
    'other claims': `${head}.${part(claims({ tenant: 'beta' }))}.${signature}`,
    'the tenant default': mint({ tenant: 'default' }),
    'the tenant of the audit': mint({ tenant: 'memplane-audit' }),
    'no tenant': mint({ tenant: undefined }),
  };
  for (const [what, token] of Object.entries(wrong)) {
    assert.equal(await statusOf('materializer', token), 401, what);
    assert.equal(await statusOf('crdt-sync', token), 401, what);
    assert.match(await respAuth(token), /^-WRONGPASS /, what);
  }
  // Clocks differ, so much and no more.
  assert.equal(await statusOf('materializer', mint({ exp: nowSeconds() - 20 })), 404);
  assert.equal(await statusOf('materializer', mint({ nbf: nowSeconds() + 20 })), 404);
  // A role that the issuer may not give counts for nothing.
  const shards = await call('GET', `${plane.materializer}/v1/shards`, {
    headers: bearerOf(mint()),
  });
  assert.equal(shards.status, 403);
});

test('a header of 1 MiB is refused by every service, and nobody else notices', async () => {
  const long = 'x'.repeat(1024 * 1024);
  for (const service of SERVICE_NAMES) {
    const answer = await call<{ code: string }>('GET', plane.url(service) + READS[service][0], {
      headers: bearerOf(long),
    });
    assert.deepEqual([answer.status, answer.body.code], [431, 'headers_too_large'], service);
    assert.equal(await statusOf(service, mint()), READS[service][1], service);
  }
  assert.match(await respAuth(long), /^-/);
});

test('key ids that nobody knows never make the issuer be asked more than once', async () => {
  const before_ = asked;
  const tokens = Array.from({ length: 300 }, (_, i) => mint({}, { kid: `no-${i}` }));
  const all = await Promise.all(tokens.map((token) => statusOf('materializer', token)));
  assert.ok(all.every((status) => status === 401));
  assert.ok(asked - before_ <= 1, `${asked - before_} times`);
});

test('known keys go on while the issuer is down, unknown ones do not', async () => {
  await new Promise((resolve) => issuer.close(resolve).closeAllConnections());
  for (const service of SERVICE_NAMES) {
    assert.equal(await statusOf(service, mint()), READS[service][1], service);
  }
  assert.equal(await statusOf('materializer', mint({}, { kid: 'two' }, OTHER.privateKey)), 401);
  // A service that starts now has no keys: it says so, and lets nobody in.
  await plane.kill();
  plane = await plane.again();
  const [path] = READS.materializer;
  const answer = await call<{ code: string }>('GET', plane.materializer + path, {
    headers: bearerOf(mint()),
  });
  assert.deepEqual([answer.status, answer.body.code], [503, 'dependency_unavailable']);
});
