import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import {
  type Answer,
  type AppendAnswer,
  call,
  type EntityView,
  expectStatus,
  figure,
  LostAnswer,
  LyingProxy,
  Plane,
  type PlaneService,
  type ProblemBody,
  planeDigests,
  readEntity,
  ScratchFolder,
  SERVICE_NAMES,
} from '@memplane/testkit';
import { BAD_REQUESTS, type BadRequest } from './bad-input-cases.ts';

test('bad input gets a problem that names the field, changes nothing and stops nobody', async (t) => {
  using folder = new ScratchFolder('bad-input');
  await using plane = await Plane.start({ dataDir: folder.path });
  await expectStatus<AppendAnswer>(201, 'POST', `${plane.ingest}/v1/events`, {
    body: { type: 'Made', entity: 'ok/1', attributes: { a: 1 } },
  });
  const before = { digests: await planeDigests(plane), crdts: await crdtState(plane) };

  await t.test(`${BAD_REQUESTS.length} bad requests`, async () => {
    const faults: string[] = [];
    for (const bad of BAD_REQUESTS) {
      const fault = await faultOf(bad, plane.url(bad.service));
      if (fault !== undefined) faults.push(fault);
    }
    assert.equal(faults.length, 0, faults.join('\n'));
    figure('bad requests refused', BAD_REQUESTS.length);
  });

  await t.test('headers that are too large, and bytes that are no HTTP', async () => {
    for (const service of SERVICE_NAMES) {
      const url = `${plane.url(service)}/openapi.json`;
      const headers = { 'x-large': 'x'.repeat(100_000) };
      const answer = await call('GET', url, { headers }).catch((error: unknown) => error);
      const refused = answer instanceof LostAnswer || (answer as Answer).status === 431;
      assert.ok(refused, `${service}: ${JSON.stringify(answer).slice(0, 300)}`);
      await sendRaw(plane.ports[service], 'NONSENSE\r\n\r\n\u0000\u0001');
      await sendRaw(plane.ports[service], 'POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab');
    }
  });

  await t.test('nothing has changed, and the plane answers others', async () => {
    assert.equal(plane.exit, undefined, plane.logTail());
    assert.deepEqual({ digests: await planeDigests(plane), crdts: await crdtState(plane) }, before);
    assert.deepEqual((await readEntity(plane.materializer, 'ok/1')).attributes, { a: 1 });
    assert.equal((await call('GET', `${plane.materializer}/v1/entities/bad/1`)).status, 404);
    for (const service of SERVICE_NAMES) assert.ok(await plane.isReady(service), service);
    const body = { id: 'after', type: 'Made', entity: 'ok/1', attributes: { polluted: null } };
    const url = `${plane.ingest}/v1/events`;
    const { token } = await expectStatus<AppendAnswer>(201, 'POST', url, { body });
    const view = await expectStatus<EntityView>(
      200,
      'GET',
      `${plane.materializer}/v1/entities/ok%2F1?after=${token}`,
    );
    assert.deepEqual(view.attributes, { a: 1 });
  });

  await t.test(
    'the judge notices a wrong status, a code that is not one, a field not named',
    async () => {
      const bad = BAD_REQUESTS.find(({ what }) => what === 'no type')!;
      const lies: ((problem: ProblemBody) => [number, Partial<ProblemBody>])[] = [
        (problem) => [500, problem],
        (problem) => [400, { ...problem, code: 'oops' }],
        ({ field: _field, ...problem }) => [400, problem],
      ];
      for (const lie of lies) {
        await using liar = await LyingProxy.before(plane.ingest, (_request, truth) => {
          const [status, problem] = lie(JSON.parse(truth.text) as ProblemBody);
          return { ...truth, status, text: JSON.stringify(problem) };
        });
        assert.notEqual(await faultOf(bad, liar.url), undefined);
        assert.equal(await faultOf(bad, plane.url(bad.service)), undefined);
      }
    },
  );
});

/** What is wrong about the answer to a bad request. */
async function faultOf(bad: BadRequest, base: string): Promise<string | undefined> {
  const options = {
    ...(bad.body === undefined ? {} : { body: bad.body }),
    ...(bad.headers === undefined ? {} : { headers: bad.headers }),
  };
  const answer = await call<ProblemBody>(bad.method, base + bad.path, options).catch(
    (error: Error) => error,
  );
  const name = `${bad.service}: ${bad.what}`;
  if (answer instanceof Error) return `${name}: ${answer.message}`;
  const { status, body } = answer;
  const wanted = typeof bad.status === 'number' ? [bad.status] : bad.status;
  const says = `${status} ${answer.text.slice(0, 300)}`;
  if (!wanted.includes(status)) return `${name}: wanted ${wanted}, got ${says}`;
  if (!answer.headers['content-type']?.startsWith('application/problem+json')) {
    return `${name}: not a problem: ${answer.headers['content-type']} ${says}`;
  }
  if (!matches(body.code, bad.code)) return `${name}: code should be ${bad.code}: ${says}`;
  if (bad.field !== undefined && !matches(body.field, bad.field)) {
    return `${name}: field should be ${bad.field}: ${says}`;
  }
  if (body.status !== status || !body.title || !body.detail || !body.type) {
    return `${name}: not a whole problem: ${says}`;
  }
  return undefined;
}

function matches(text: string | undefined, wanted: string | RegExp): boolean {
  if (text === undefined) return false;
  return typeof wanted === 'string' ? text === wanted : wanted.test(text);
}

/** The counters, sets and registers that the bad requests name must not come to be. */
async function crdtState(plane: Plane): Promise<string[]> {
  const paths = ['counters/bad', 'sets/bad', 'registers/bad', 'maps/bad'];
  const answers = await Promise.all(paths.map((path) => call('GET', `${plane.crdt}/v1/${path}`)));
  return answers.map(({ status, text }) => (status === 200 ? text : String(status)));
}

/** Bytes as they are; resolves once the server has closed the connection or answered. */
function sendRaw(port: PlanePort, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' }, () => socket.end(text));
    socket.on('data', () => {});
    socket.on('close', () => resolve());
    socket.on('error', () => resolve());
    socket.setTimeout(30_000, () => reject(new Error(`port ${port} keeps a broken call open`)));
  });
}

type PlanePort = Plane['ports'][PlaneService];
