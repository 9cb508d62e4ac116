import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import {
  type AppendAnswer,
  call,
  type EntityView,
  entityPath,
  figure,
  type SearchAnswer,
} from '@memplane/testkit';
import { persist } from './persist.ts';
import { StackPlane } from './stack-plane.ts';

// Every process of the plane's own is killed and stays gone. What agents ask for must go on; how long
// it did not is measured.
const USERS = 24;
/** Longer than this nothing may be away: a group notices a lost member after 10 s, and a margin. */
const MOMENT_MS_MAX = 30_000;
/** It goes on when each operation did so on every user, one after the other. */
const ROUNDS_WELL = 2;

const OPERATIONS = ['append', 'read', 'search', 'count'] as const;
type Operation = (typeof OPERATIONS)[number];

let plane: StackPlane;
let nextId = 0;
const counted = { times: 0 };

before(async () => {
  plane = await StackPlane.connect();
  await plane.restore();
  await goesOn(performance.now());
});

test('with any one process gone, append, read, search and counters go on', async (t) => {
  const names = plane.plans.instances.flatMap(({ app, sidecar }) => [app.name, sidecar.name]);
  assert.equal(names.length, 16);
  const rows: string[] = [];
  for (const name of names) {
    await t.test(name, async () => {
      await plane.kill(name);
      const moments = await goesOn(performance.now());
      const cells = OPERATIONS.map((operation) => `${Math.round(moments[operation])}`);
      rows.push(`${name}: ${OPERATIONS.map((one, i) => `${one} ${cells[i]} ms`).join(', ')}`);
      figure(`away without ${name}`, cells.join(' / '), 'ms (append / read / search / count)');
      for (const operation of OPERATIONS) {
        assert.ok(moments[operation] < MOMENT_MS_MAX, `${operation}: ${moments[operation]} ms`);
      }
      await plane.restore();
    });
  }
  console.log(`# ${rows.join('\n# ')}`);
});

test('nothing that was acknowledged meanwhile is lost or counted twice', async () => {
  // Of both replicas: each has taken some, and has a Redis of its own.
  const url = `${plane.crdt}/v1/counters/one-gone?read=quorum`;
  const { value } = await persist<{ value: number }>(200, 'GET', url);
  assert.equal(value, counted.times);
});

/**
 * Works on until each operation has succeeded at its first try on every user, `ROUNDS_WELL` times in a
 * row. @returns by operation, the longest time that a user waited for it
 */
async function goesOn(begin: number): Promise<Record<Operation, number>> {
  const longest: Record<Operation, number> = { append: 0, read: 0, search: 0, count: 0 };
  for (let well = 0; well < ROUNDS_WELL; ) {
    let isWell = true;
    await Promise.all(
      Array.from({ length: USERS }, async (_, user) => {
        for (const operation of OPERATIONS) {
          const tookMs = await operate(operation, user);
          if (tookMs.tries > 1) isWell = false;
          longest[operation] = Math.max(longest[operation], tookMs.ms);
        }
      }),
    );
    well = isWell ? well + 1 : 0;
    if (performance.now() - begin > 3 * MOMENT_MS_MAX) throw new Error('it does not go on');
  }
  return longest;
}

const tokens = new Map<number, string>();

async function operate(
  operation: Operation,
  user: number,
): Promise<{ readonly ms: number; readonly tries: number }> {
  const begin = performance.now();
  const id = `e${nextId++}`;
  const entity = `user/one-gone-${user}`;
  let tries = 0;
  for (;;) {
    tries++;
    if (await attempt(operation, user, entity, id)) {
      if (operation === 'count') counted.times++;
      return { ms: performance.now() - begin, tries };
    }
    if (performance.now() - begin > 2 * MOMENT_MS_MAX) throw new Error(`${operation} is away`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** One try; false where it has to be repeated. @throws Error where an answer is wrong */
async function attempt(
  operation: Operation,
  user: number,
  entity: string,
  id: string,
): Promise<boolean> {
  const after = tokens.get(user) ?? '';
  switch (operation) {
    case 'append': {
      const text = `Number ${id} of user ${user} is remembered`;
      const body = { id, type: 'Noted', entity, attributes: { last: id }, memory: { id, text } };
      const answer = await tried<AppendAnswer>('POST', `${plane.ingest}/v1/events`, body, 201);
      if (answer) tokens.set(user, answer.token);
      return answer !== undefined;
    }
    case 'read': {
      const url = plane.materializer + entityPath(entity, { after, waitMs: 2_000 });
      const view = await tried<EntityView>('GET', url, undefined, 200);
      if (view) assert.ok(view.memories.length > 0);
      return view !== undefined;
    }
    case 'search': {
      const body = { text: `user ${user} remembered`, topK: 1, entity, after, waitMs: 2_000 };
      const found = await tried<SearchAnswer>('POST', `${plane.vectors}/v1/search`, body, 200);
      if (found) assert.equal(found.results[0]?.entity, entity);
      return found !== undefined;
    }
    case 'count': {
      const url = `${plane.crdt}/v1/counters/one-gone/increments`;
      return (await tried('POST', url, { by: 1, opId: id }, 200)) !== undefined;
    }
  }
}

async function tried<T>(
  method: string,
  url: string,
  body: unknown,
  status: number,
): Promise<T | undefined> {
  const answer = await call<T>(method, url, { body, timeoutMs: 5_000 }).catch(() => undefined);
  return answer?.status === status ? answer.body : undefined;
}
