import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { figure, type Seeded, scaled, seeded, testSeed } from '@memplane/testkit';
import { Requests } from './isolation-requests.ts';
import { SECRET, type Step, World } from './isolation-world.ts';

const ROLES = ['writer', 'reader'];
const A = { tenant: 'a', roles: ROLES };
const B = { tenant: 'b', roles: ROLES };
const STEPS = scaled('isolation_steps', { ci: 500, soak: 50_000 });
/** One operation in a hundred and fifty may be the leaky one, and its answer may be the same for both. */
const PLANTED_MAX = 20_000;

/** What these tell is as of a while ago: of when is not the same in both worlds. */
const LATE: ReadonlySet<string> = new Set(['getQuotas']);
const LATE_MS_MAX = 10_000;

interface Leak {
  readonly number: number;
  readonly step: Step;
  readonly why: string;
}

/**
 * Does the same for tenant A in a world with others and in one without them, and tells where the
 * answers differ. @param tokenOf whose token a request of A carries in the world with others
 */
async function firstLeak(
  shared: World,
  alone: World,
  random: Seeded,
  steps: number,
  tokenOf: (step: Step) => string = () => 'a',
): Promise<Leak | undefined> {
  const requests = new Requests(random.fork(1), await alone.operations());
  const chances = random.fork(2);
  const called = new Set<string>();
  for (let number = 0; number < steps; number++) {
    while (chances.chance(0.4)) await shared.ask(requests.nextOfOther(), 'b');
    const step = requests.next();
    called.add(step.operation);
    const ask = () => Promise.all([shared.ask(step, tokenOf(step)), alone.ask(step)]);
    let [with_, without] = await ask();
    const end = performance.now() + (LATE.has(step.operation) ? LATE_MS_MAX : 0);
    while (!isDeepStrictEqual(with_, without) && performance.now() < end) {
      [with_, without] = await ask();
    }
    if (!isDeepStrictEqual(with_, without)) {
      const why = `${JSON.stringify(with_)}\ninstead of\n${JSON.stringify(without)}`;
      return { number, step, why };
    }
    if (shared.raw.some((text) => text.includes(SECRET) && !asked(step))) {
      return { number, step, why: 'what B has written was in the answer' };
    }
    shared.raw.length = 0;
  }
  for (const { id } of await alone.operations()) assert.ok(called.has(id), `${id} was not called`);
  return undefined;
}

/** A may be told the words that it has asked with. */
function asked(step: Step): boolean {
  return JSON.stringify(step).includes(SECRET);
}

test('a tenant sees what it would see if no other were there', async (t) => {
  const random = testSeed('isolation');
  await using shared = await World.start({ a: A, b: B });
  await using alone = await World.start({ a: A });
  const startedMs = performance.now();
  const leak = await firstLeak(shared, alone, random, STEPS);
  assert.equal(leak, undefined, `seed ${random.seed}: ${JSON.stringify(leak, null, 1)}`);
  figure('isolation steps', STEPS);
  figure('isolation duration', Math.round(performance.now() - startedMs), 'ms');

  await t.test('and one operation that forgets whom it is for is found', async () => {
    const leaky = ['getEntity', 'search', 'getFeed', 'getSet', 'RESP CRDT.GET', 'queryEntities'];
    for (const [i, operation] of leaky.entries()) {
      // It answers with what B has.
      const tokenOf = (step: Step) => (step.operation === operation ? 'b' : 'a');
      const found = await firstLeak(shared, alone, seeded(random.seed + i), PLANTED_MAX, tokenOf);
      assert.equal(found?.step.operation, operation, `seed ${random.seed + i}`);
    }
  });
});

test('a wall that is not there is found', async () => {
  // Both tokens are of one tenant.
  await using shared = await World.start({ a: A, b: A });
  await using alone = await World.start({ a: A });
  const leak = await firstLeak(shared, alone, seeded(7), 300);
  assert.notEqual(leak, undefined);
});
