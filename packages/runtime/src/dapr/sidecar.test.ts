import assert from 'node:assert/strict';
import { test } from 'node:test';
import { safePath } from './safe-path.ts';
import { readSidecarConfig } from './sidecar.ts';
import { sidecarError } from './sidecar-error.ts';

test('a sidecar is named with both tokens, or not at all', () => {
  assert.equal(readSidecarConfig({}), undefined);
  const tokens = { DAPR_API_TOKEN: 'a', APP_API_TOKEN: 'b' };
  assert.deepEqual(readSidecarConfig({ DAPR_HTTP_PORT: '3500', ...tokens }), {
    url: 'http://127.0.0.1:3500',
    apiToken: 'a',
    appToken: 'b',
  });
  const { url } = readSidecarConfig({ DAPR_HTTP_ENDPOINT: 'http://dapr:1/', ...tokens }) ?? {};
  assert.equal(url, 'http://dapr:1');
  for (const name of Object.keys(tokens)) {
    const env = { DAPR_HTTP_PORT: '3500', ...tokens, [name]: '' };
    assert.throws(() => readSidecarConfig(env), /needs both tokens/);
  }
});

test('a path goes through a sidecar as it is, or not at all', () => {
  assert.equal(safePath('/v1/entities/user/42'), '/v1/entities/user/42');
  assert.equal(safePath('/v1/counters/a%3Ab%40c~2f/x'), '/v1/counters/a:b@c~2f/x');
  for (const path of [
    '/v1/entities/user%2F42',
    '/v1/a%3Fb',
    '/v1/a%23b',
    '/v1/a?b',
    '/v1/a#b',
    '/v1/../metrics',
    '/v1/%2e%2e/metrics',
    '/v1/./a',
    '/v1//a',
    '/v1/a b',
    '/v1/%',
    '/v1/a%25b',
    'v1/a',
    '',
  ]) {
    assert.throws(() => safePath(path), { code: 'invalid_request' }, path);
  }
});

test('what a sidecar answers becomes a coded error', () => {
  const invoke = (message: string) => JSON.stringify({ errorCode: 'ERR_DIRECT_INVOKE', message });
  const problem = JSON.stringify({
    code: 'history_expired',
    detail: 'gone',
    status: 410,
    start: 7,
  });
  const cases: readonly [number, string, string, boolean][] = [
    [410, problem, 'history_expired', false],
    [500, invoke('failed to invoke'), 'dependency_unavailable', true],
    [403, invoke('access control policy has denied'), 'forbidden', false],
    [502, '', 'dependency_unavailable', true],
    [504, 'upstream timed out', 'deadline_exceeded', true],
    [401, 'invalid api token', 'unauthorized', false],
    [404, '404 page not found', 'forbidden', false],
    [413, 'http: request body too large', 'body_too_large', false],
    [429, '', 'overloaded', true],
  ];
  for (const [status, text, code, transient] of cases) {
    const error = sidecarError(status, text, 'materializer');
    assert.equal(error.code, code, text);
    assert.equal(error.transient, transient, code);
  }
  assert.equal(sidecarError(410, problem, 'x').extra['start'], 7);
  assert.match(sidecarError(500, invoke('no such app'), 'x').message, /no such app/);
});
