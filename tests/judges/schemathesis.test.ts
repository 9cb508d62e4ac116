import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AppendAnswer,
  call,
  expectStatus,
  figure,
  LyingProxy,
  Plane,
  planeDigests,
  ScratchFolder,
  SERVICE_NAMES,
  type SentEvent,
  scaled,
  testSeed,
} from '@memplane/testkit';
import { installSchemathesis, judge } from './schemathesis.ts';

const CASES = scaled('judge_cases', { ci: 300, soak: 2_000 });
/** How the cases are spread is the judge's choice: a service is judged until it has had enough. */
const RUNS_MAX = 12;

const command = installSchemathesis();

for (const service of SERVICE_NAMES) {
  test(`schemathesis: ${CASES} calls of ${service}, none a 5xx, none undocumented`, async () => {
    const random = testSeed(`schemathesis of ${service}`);
    using folder = new ScratchFolder('judged');
    await using plane = await Plane.start({ dataDir: folder.path });
    await seedStory(plane);
    const operations = await operationCount(plane.url(service));
    let cases = 0;
    let examplesPerOperation = Math.max(5, Math.ceil(CASES / operations / 2));
    for (let run = 0; cases < CASES && run < RUNS_MAX; run++) {
      const seed = random.int(1, 2 ** 31);
      const verdict = await judge({ command, url: plane.url(service), examplesPerOperation, seed });
      assert.ok(verdict.passed, `${service}:\n${verdict.output.slice(-20_000)}`);
      assert.ok(verdict.cases > 0, verdict.output);
      cases += verdict.cases;
      examplesPerOperation = Math.max(5, Math.ceil((CASES - cases) / operations));
    }
    assert.ok(cases >= CASES, `${cases} of ${CASES} cases`);
    figure(`schemathesis cases of ${service}`, cases);
    assert.equal(plane.exit, undefined, plane.logTail());
    assert.ok(await plane.isReady(service));
    await planeDigests(plane);
  });
}

test('schemathesis notices a 500, an undocumented status, and an answer off its schema', async () => {
  using folder = new ScratchFolder('judge-judged');
  await using plane = await Plane.start({ dataDir: folder.path });
  const honest = { command, url: plane.vectors, examplesPerOperation: 5, seed: 1 };
  assert.ok((await judge(honest)).passed);
  const lies: [RegExp, (text: string) => { status: number; text: string }][] = [
    [/Server error/i, (text) => ({ status: 500, text })],
    [/Undocumented status/i, (text) => ({ status: 218, text })],
    [/schema/i, () => ({ status: 200, text: '{"generations":"none"}' })],
  ];
  for (const [noticed, lie] of lies) {
    await using liar = await LyingProxy.before(plane.vectors, ({ path }, truth) =>
      path === '/v1/index' && truth.status === 200 ? { ...truth, ...lie(truth.text) } : undefined,
    );
    const verdict = await judge({ ...honest, url: liar.url });
    assert.ok(!verdict.passed, 'the lie was not noticed');
    assert.match(verdict.output, noticed);
  }
});

/** Something to be found, so that not all is 404; and past the documented examples (`offset:17`). */
async function seedStory(plane: Plane): Promise<void> {
  const body: SentEvent[] = ['user/42', 'agent/7', 'a/b'].flatMap((entity) => [
    { id: 'order-17', type: 'Ordered', entity, attributes: { channel: 'email', priority: 3 } },
    { id: 'm-1', type: 'Noted', entity, memory: { id: 'm', text: 'a cheap hotel in the north' } },
  ]);
  for (let n = 0; n < 40; n++) {
    body.push({ id: `order-${100 + n}`, type: 'Ordered', entity: 'user/42', attributes: { n } });
  }
  await expectStatus<AppendAnswer>(201, 'POST', `${plane.ingest}/v1/events`, { body });
  const by = { body: { by: 3 } };
  await expectStatus(200, 'POST', `${plane.crdt}/v1/counters/tasks_processed/increments`, by);
}

async function operationCount(url: string): Promise<number> {
  const { body } = await call<{ paths: Record<string, object> }>('GET', `${url}/openapi.json`);
  return Object.values(body.paths).reduce((sum, item) => sum + Object.keys(item).length, 0);
}
