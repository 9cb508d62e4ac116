import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeSessionToken, encodeToken } from '@memplane/contracts';
import { MemplaneError } from './errors.ts';
import { Memplane } from './memplane.ts';
import type { MemplaneOptions } from './options.ts';

const LOG_ID = '0c7a4d0e-6f2b-4c59-9d3e-5a1b2c3d4e5f';
const QUICK: MemplaneOptions = { backoffBaseMs: 1, backoffMaxMs: 2 };

interface Sent {
  readonly url: URL;
  readonly method: string;
  readonly body: unknown;
  readonly headers: Record<string, string>;
}

/** What the other side does with a call; several are used one after the other, the last for good. */
type Behaviour = (sent: Sent, signal: AbortSignal) => Response | Promise<Response>;

function misbehaving(...behaviours: Behaviour[]): { fetch: typeof fetch; sent: Sent[] } {
  const sent: Sent[] = [];
  const call = async (input: string | URL | Request, init?: RequestInit) => {
    const { method = 'GET', body, headers } = init ?? {};
    const one: Sent = {
      url: new URL(String(input)),
      method,
      body: body === undefined ? undefined : JSON.parse(String(body)),
      headers: headers as Record<string, string>,
    };
    sent.push(one);
    const behaviour = behaviours[Math.min(sent.length, behaviours.length) - 1];
    if (!behaviour) throw new Error('nothing to do');
    return behaviour(one, init?.signal ?? new AbortController().signal);
  };
  return { fetch: call as typeof fetch, sent };
}

const problem =
  (status: number, code: string, headers: Record<string, string> = {}) =>
  () =>
    Response.json({ code, detail: code, status, transient: status >= 429 }, { status, headers });
const cut = () => {
  throw Object.assign(new TypeError('fetch failed'), { cause: { code: 'ECONNRESET' } });
};
const refused = () => {
  throw Object.assign(new TypeError('fetch failed'), { cause: { code: 'ECONNREFUSED' } });
};
const never: Behaviour = (_sent, signal) =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

let offset = 0;
/** Takes whatever is appended into partition 3. */
const accepts: Behaviour = ({ body }) => {
  const events = body as { id: string; entity: string }[];
  const accepted = events.map(({ id, entity }) => ({
    id,
    entity,
    partition: 3,
    offset: offset++,
    hlc: '000000000001-0000',
    duplicate: false,
  }));
  return Response.json(
    {
      accepted,
      token: encodeToken({ logId: LOG_ID, epoch: 0, offsets: new Map([[3, offset - 1]]) }),
    },
    { status: 201 },
  );
};
const value: Behaviour = () => Response.json({ value: 1 });
const event = (id: string, entity = 'user/42') => ({ id, type: 'T', entity });
const withCode = (code: string) => (error: unknown) =>
  error instanceof MemplaneError && error.code === code;

test('an append is repeated after a cut connection, with the same ids', async () => {
  const { fetch, sent } = misbehaving(cut, problem(503, 'storage_unavailable'), accepts);
  const client = new Memplane({ ...QUICK, fetch });
  const { id, entity } = await client.append({ type: 'T', entity: 'user/42' });
  assert.equal(entity, 'user/42');
  assert.equal(sent.length, 3);
  for (const { body } of sent) assert.equal((body as { id: string }[])[0]?.id, id);
});

test('what is refused for good is not repeated, and names its field', async () => {
  const refuse = () =>
    Response.json(
      { code: 'invalid_event', detail: 'wrong', transient: false, field: 'body[0].type' },
      { status: 400 },
    );
  const { fetch, sent } = misbehaving(refuse);
  const client = new Memplane({ ...QUICK, fetch });
  await assert.rejects(client.append(event('a')), (error) => {
    assert.ok(error instanceof MemplaneError);
    assert.equal(error.code, 'invalid_event');
    assert.equal(error.field, 'body[0].type');
    return true;
  });
  assert.equal(sent.length, 1);
});

test('an increment is repeated under one id; what has none only when it was certainly not done', async () => {
  const { fetch, sent } = misbehaving(cut, value);
  await new Memplane({ ...QUICK, fetch }).counter('c').increment(1);
  const ids = sent.map(({ body }) => (body as { opId?: string }).opId);
  assert.equal(ids.length, 2);
  assert.ok(ids[0] !== undefined && ids[0] === ids[1]);

  const unsure = misbehaving(cut, value);
  const reset = new Memplane({ ...QUICK, fetch: unsure.fetch }).counter('c').delete();
  await assert.rejects(reset, withCode('network'));
  assert.equal(unsure.sent.length, 1);
  for (const notDone of [refused, problem(429, 'overloaded')]) {
    const safe = misbehaving(notDone, value);
    await new Memplane({ ...QUICK, fetch: safe.fetch }).counter('c').delete();
    assert.equal(safe.sent.length, 2);
  }
});

test('repetitions have a bound, and Retry-After is kept', async () => {
  const { fetch, sent } = misbehaving(problem(429, 'overloaded'));
  const client = new Memplane({ ...QUICK, fetch, retries_max: 3 });
  await assert.rejects(client.append(event('a')), withCode('overloaded'));
  assert.equal(sent.length, 4);
  const patient = misbehaving(problem(429, 'overloaded', { 'retry-after': '1' }), accepts);
  const started = performance.now();
  await new Memplane({ ...QUICK, fetch: patient.fetch }).append(event('b'));
  assert.ok(performance.now() - started >= 990);
});

test('a deadline covers all tries; a signal ends the call at once', async () => {
  const { fetch } = misbehaving(never);
  const client = new Memplane({ ...QUICK, fetch });
  await assert.rejects(client.entity('user/42', { timeoutMs: 30 }), withCode('deadline_exceeded'));
  const ending = new AbortController();
  const call = client.entity('user/42', { signal: ending.signal });
  ending.abort();
  await assert.rejects(call, withCode('aborted'));
  await assert.rejects(
    client.append(event('a'), { signal: AbortSignal.abort() }),
    withCode('aborted'),
  );
});

test('appends of one tick go together; those of one entity stay in order', async () => {
  const { fetch, sent } = misbehaving(accepts);
  const client = new Memplane({ ...QUICK, fetch, batch_events_max: 10 });
  const appended = await Promise.all(
    Array.from({ length: 25 }, (_, i) => client.append(event(`e${i}`, `user/${i % 2}`))),
  );
  assert.equal(appended.length, 25);
  assert.equal(sent.length, 3);
  const ids = sent.flatMap(({ body }) => (body as { id: string }[]).map((one) => one.id));
  assert.deepEqual(
    ids,
    Array.from({ length: 25 }, (_, i) => `e${i}`),
  );
});

test('one bad event of a batch does not cost its neighbours', async () => {
  const refuse: Behaviour = (sent, signal) => {
    const bad = (sent.body as { id: string }[]).some(({ id }) => id === 'bad');
    return bad ? problem(400, 'invalid_event')() : accepts(sent, signal);
  };
  const { fetch } = misbehaving(refuse);
  const client = new Memplane({ ...QUICK, fetch });
  const [good, bad, other] = await Promise.allSettled(
    ['good', 'bad', 'other'].map((id) => client.append(event(id, `user/${id}`))),
  );
  assert.equal(good?.status, 'fulfilled');
  assert.equal(bad?.status, 'rejected');
  assert.equal(other?.status, 'fulfilled');
});

test('more than may wait is refused at once', async () => {
  const { fetch } = misbehaving(never);
  const client = new Memplane({ ...QUICK, fetch, queue_events_max: 2, timeoutMs: 50 });
  const first = [client.append(event('a')), client.append(event('b'))];
  await assert.rejects(client.append(event('c')), withCode('queue_full'));
  await Promise.allSettled(first);
});

test('reads carry the token of what was written, unless told otherwise', async () => {
  const view = () =>
    Response.json({ entity: 'user/42', attributes: {}, memories: [], sequence: 1, asOf: {} });
  const both: Behaviour = (sent, signal) =>
    sent.method === 'POST' ? accepts(sent, signal) : view();
  const { fetch, sent } = misbehaving(both);
  const client = new Memplane({ ...QUICK, fetch });
  await client.entity('user/42');
  assert.equal(sent.at(-1)?.url.searchParams.get('after'), null);
  const { token } = await client.append(event('a'));
  await client.entity('user/42');
  assert.equal(sent.at(-1)?.url.searchParams.get('after'), token);
  client.forgetToken();
  await client.entity('user/42');
  assert.equal(sent.at(-1)?.url.searchParams.get('after'), null);
  const careless = new Memplane({ ...QUICK, fetch, readYourWrites: false });
  await careless.append(event('b'));
  await careless.entity('user/42');
  assert.equal(sent.at(-1)?.url.searchParams.get('after'), null);
});

test('changes of maps say where, and are sent once', async () => {
  const fields = [{ type: 'counter', path: ['a', 'n'], value: 3 }];
  const { fetch, sent } = misbehaving(({ method }) =>
    Response.json(method === 'GET' ? { fields } : { value: 3, added: true, removed: true }),
  );
  const map = new Memplane({ ...QUICK, fetch }).map('m');
  assert.equal(await map.increment(['a', 'n'], 3), 3);
  await map.add(['a', 's'], 'x');
  await map.remove(['a', 's'], 'x');
  await map.set(['r'], { v: 1 });
  await map.removeField(['a'], 'map');
  assert.deepEqual(await map.fields({ after: null }), fields);
  await map.delete();
  const asked = sent.map(
    ({ method, url }) => `${method} ${url.pathname.slice('/v1/maps/m'.length)}`,
  );
  const changes = ['increments', 'adds', 'removes', 'writes', 'removals'];
  assert.deepEqual(asked, [...changes.map((what) => `POST /${what}`), 'GET ', 'DELETE ']);
});

test('reads of counters, sets and registers carry the tokens of what was written to them', async () => {
  const [a, b] = ['0a', '0b'].map((digits) => digits.repeat(16)) as [string, string];
  const writes = [new Map([[a, 1]]), new Map([[b, 4]]), new Map([[a, 3]]), new Map([[a, 2]])].map(
    (vector) => ({ value: 1, added: true, token: encodeSessionToken(vector) }),
  );
  const { fetch, sent } = misbehaving(({ method }) =>
    Response.json(method === 'GET' ? { value: 1, elements: [] } : (writes.shift() ?? {})),
  );
  const client = new Memplane({ ...QUICK, fetch });
  const query = (name: string) => sent.at(-1)?.url.searchParams.get(name) ?? null;
  await client.counter('c').get({ read: 'quorum' });
  assert.deepEqual([query('read'), query('after'), query('waitMs')], ['quorum', null, null]);
  await client.counter('c').increment(1, { write: 'quorum' });
  assert.deepEqual([query('write'), query('token')], ['quorum', 'true']);
  await client.set('s').add('x');
  await client.register('r').set(1);
  await client.counter('c').delete();
  const own = encodeSessionToken(
    new Map([
      [b, 4],
      [a, 3],
    ]),
  );
  assert.equal(client.sessionToken, own);
  assert.equal(client.token, undefined);
  const given = encodeSessionToken(new Map([[b, 9]]));
  await client.set('s').elements({ after: given, waitMs: 5 });
  assert.deepEqual([query('after'), query('waitMs')], [`${given},${own}`, '5']);
  await client.register('r').get({ after: null });
  assert.equal(query('after'), null);
  client.observe(given);
  assert.equal(
    client.sessionToken,
    encodeSessionToken(
      new Map([
        [a, 3],
        [b, 9],
      ]),
    ),
  );
  assert.throws(() => client.observe('mct_junk'), withCode('invalid_token'));
  client.forgetToken();
  await client.counter('c').get();
  assert.equal(query('after'), null);
  const careless = new Memplane({ ...QUICK, fetch, readYourWrites: false });
  await careless.counter('c').increment();
  assert.equal(query('token'), null);
});

test('a write that only lacks a majority is not repeated: another replica may not know it', async () => {
  const lacking = () =>
    Response.json(
      { code: 'no_quorum', detail: 'no', transient: true, durable: true },
      { status: 503 },
    );
  const { fetch, sent } = misbehaving(lacking);
  const client = new Memplane({ ...QUICK, fetch });
  await assert.rejects(
    client.counter('c').increment(1, { write: 'quorum' }),
    withCode('no_quorum'),
  );
  assert.equal(sent.length, 1);
});

test('tokens of two logs are told, never guessed at', async () => {
  const client = new Memplane(QUICK);
  const tokenOf = (logId: string) => encodeToken({ logId, epoch: 0, offsets: new Map([[0, 1]]) });
  client.observe(tokenOf(LOG_ID));
  client.observe(tokenOf(LOG_ID.replace('0c', '0d')));
  await assert.rejects(client.entity('user/42'), withCode('token_of_another_log'));
  assert.throws(() => client.observe('mpt_junk'), withCode('invalid_token'));
});

test('through a sidecar the paths and tokens are those of Dapr', async () => {
  const { fetch, sent } = misbehaving(accepts);
  const dapr = { endpoint: 'http://127.0.0.1:3500', apiToken: 'secret' };
  await new Memplane({ ...QUICK, fetch, dapr }).append(event('a'));
  assert.equal(
    sent[0]?.url.href,
    'http://127.0.0.1:3500/v1.0/invoke/event-ingest/method/v1/events',
  );
  assert.equal(sent[0]?.headers['dapr-api-token'], 'secret');
  assert.throws(() => new Memplane({ dapr, url: 'http://x' }), withCode('invalid_argument'));
  assert.throws(() => new Memplane({ url: 'ftp://x' }), withCode('invalid_argument'));
});

test('an answer that is none of a plane is told as such', async () => {
  const page = () => new Response('<html>', { status: 200 });
  const { fetch } = misbehaving(page);
  const client = new Memplane({ ...QUICK, fetch, retries_max: 0 });
  await assert.rejects(client.append(event('a')), withCode('bad_answer'));
});

test('a sidecar that finds no instance is asked again; one that refuses is believed', async () => {
  const sidecar = (status: number, errorCode: string) => () =>
    Response.json({ errorCode, message: 'no' }, { status });
  const dapr = { endpoint: 'http://127.0.0.1:3500', apiToken: 'secret' };
  const away = misbehaving(sidecar(500, 'ERR_DIRECT_INVOKE'), accepts);
  await new Memplane({ ...QUICK, fetch: away.fetch, dapr }).append(event('a'));
  assert.equal(away.sent.length, 2);
  const closed = misbehaving(sidecar(403, 'ERR_DIRECT_INVOKE'));
  const call = new Memplane({ ...QUICK, fetch: closed.fetch, dapr }).append(event('a'));
  await assert.rejects(call, withCode('forbidden'));
  assert.equal(closed.sent.length, 1);
});
