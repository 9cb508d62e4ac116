import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemplaneError } from './errors.ts';
import { Memplane } from './memplane.ts';

interface Put {
  readonly holder: string;
  readonly ttlMs: number;
  readonly fencingToken?: number;
}

/** A plane that answers `PUT` as told, the last way for good (none: it never does), and keeps what it was asked. */
function planeWith(...answers: (((put: Put) => Response | Promise<Response>) | undefined)[]) {
  const puts: Put[] = [];
  const deletes: string[] = [];
  const fetch = async (input: string | URL | Request, init?: RequestInit) => {
    if (init?.method === 'DELETE') {
      deletes.push(new URL(String(input)).search);
      return new Response(null, { status: 204 });
    }
    const put = JSON.parse(String(init?.body)) as Put;
    puts.push(put);
    const answer = answers[Math.min(puts.length, answers.length) - 1];
    return answer?.(put) ?? never(init?.signal);
  };
  return { client: new Memplane({ fetch: fetch as typeof globalThis.fetch }), puts, deletes };
}

const granted = (fencingToken: number) => () => Response.json({ fencingToken });
const refused = (code: string) => () =>
  Response.json({ code, detail: code, status: 409, transient: false }, { status: 409 });
const never = (signal: AbortSignal | null | undefined) =>
  new Promise<Response>((_, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
const aborted = (signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test('a lease is renewed by its token while it is needed, and released at the end', async () => {
  const { client, puts, deletes } = planeWith(granted(7));
  const answer = await client.withLease(
    'l',
    async ({ guard, signal }) => {
      await sleep(350);
      assert.equal(signal.aborted, false);
      return guard;
    },
    { ttlMs: 200 },
  );
  assert.deepEqual(answer, { lease: 'l', fencingToken: 7 });
  assert.ok(puts.length >= 3, `${puts.length} calls`);
  assert.equal(puts[0]?.fencingToken, undefined);
  assert.ok(puts.slice(1).every((put) => put.fencingToken === 7));
  assert.equal(new Set(puts.map((put) => put.holder)).size, 1);
  assert.deepEqual(deletes, ['?fencingToken=7']);
});

test('what is done under a lease is aborted when its time is over, counted from the sending', async () => {
  const late = async () => {
    await sleep(80);
    return Response.json({ fencingToken: 1 });
  };
  const { client } = planeWith(late, undefined);
  const began = performance.now();
  const took = await client.withLease(
    'l',
    async ({ signal }) => {
      await aborted(signal);
      assert.ok(signal.reason instanceof MemplaneError && signal.reason.code === 'lease_lost');
      return performance.now() - began;
    },
    { ttlMs: 400 },
  );
  assert.ok(took >= 390 && took < 470, `after ${took} ms`);
});

test('a newer holder ends it at once', async () => {
  const { client } = planeWith(granted(1), refused('stale_fencing_token'));
  const began = performance.now();
  await client.withLease('l', ({ signal }) => aborted(signal), { ttlMs: 600 });
  assert.ok(performance.now() - began < 500);
});

test('a grant that took long to come is renewed before anything is done under it', async () => {
  const late = async () => {
    await sleep(150);
    return Response.json({ fencingToken: 3 });
  };
  const { client, puts } = planeWith(late, granted(3));
  await client.withLease('l', () => assert.equal(puts.length, 2), { ttlMs: 300 });
});

test('one that is held is refused, or asked for again as long as it may wait', async () => {
  const held = planeWith(refused('lease_held'));
  await assert.rejects(
    held.client.withLease('l', () => {}),
    { code: 'lease_held' },
  );
  assert.equal(held.puts.length, 1);
  const waits = planeWith(refused('lease_held'), refused('lease_held'), granted(2));
  assert.equal(await waits.client.withLease('l', () => 'in', { waitMs: 5_000 }), 'in');
  await assert.rejects(
    waits.client.withLease('no name', () => {}),
    { code: 'invalid_argument' },
  );
});
