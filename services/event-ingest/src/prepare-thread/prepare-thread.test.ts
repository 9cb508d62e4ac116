import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { toMemplaneError, toProblem } from '@memplane/runtime/problem';
import fc from 'fast-check';
import { unpackBody } from '../domain/packed-body.ts';
import { type BodyOrder, type PreparedBody, prepareBody } from '../domain/prepare-body.ts';
import { PrepareThread } from './prepare-thread.ts';

const ORDER: BodyOrder = {
  tenant: 'default',
  dimensions: 4,
  defaultSource: 'anonymous',
  now: '2026-01-31T09:30:00.000Z',
  traceparent: undefined,
};
const newId = () => 'made';

/** Mostly events, with and without ids, and now and then something else. */
const body = fc.oneof(
  fc.array(
    fc.record(
      {
        id: fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }),
        type: fc.string({ minLength: 1, maxLength: 9, unit: 'grapheme' }),
        entity: fc.constantFrom('user/42', 'agent/7', 'no entity'),
        data: fc.jsonValue(),
        attributes: fc.dictionary(fc.string(), fc.jsonValue()),
      },
      { requiredKeys: ['id', 'type', 'entity'] },
    ),
    { maxLength: 5 },
  ),
  fc.jsonValue(),
);
const bytesOf = (value: unknown) => Buffer.from(JSON.stringify(value));

/** What the events say, or the problem. */
async function outcome(prepare: () => PreparedBody | Promise<PreparedBody>): Promise<unknown> {
  try {
    return await prepare();
  } catch (error) {
    return toProblem(toMemplaneError(error));
  }
}

test('the thread makes of a body what this thread makes of it, its problem included', async () => {
  const thread = new PrepareThread(1024 * 1024);
  try {
    await fc.assert(
      fc.asyncProperty(body, async (value) => {
        const expected = await outcome(() =>
          unpackBody(prepareBody(bytesOf(value), ORDER, newId), 'default'),
        );
        assert.deepEqual(await outcome(() => thread.prepare(bytesOf(value), ORDER)), expected);
      }),
    );
    assert.equal(thread.queuedBytes, 0);
  } finally {
    await thread.stop();
  }
});

const event = (size: number) =>
  bytesOf({ id: 'a', type: 'T', entity: 'a/b', data: 'x'.repeat(size) });

test('bodies that would wait beyond the bound are refused; the first one always fits', async () => {
  const thread = new PrepareThread(1000);
  try {
    const first = thread.prepare(event(2000), ORDER);
    assert.throws(
      () => thread.prepare(event(1), ORDER),
      (error) => error instanceof MemplaneError && error.code === 'overloaded',
    );
    assert.equal((await first).events.length, 1);
    assert.equal((await thread.prepare(event(1), ORDER)).events[0]?.id, 'a');
  } finally {
    await thread.stop();
  }
});

test('a thread that ends fails what waits for it, for a while, and is replaced', async () => {
  const thread = new PrepareThread(1024 * 1024);
  try {
    const cut = thread.prepare(event(10_000), ORDER);
    const failed = assert.rejects(
      cut,
      (error) => error instanceof MemplaneError && error.transient && error.status === 503,
    );
    await thread.interrupt();
    await failed;
    assert.equal((await thread.prepare(event(10), ORDER)).events.length, 1);
  } finally {
    await thread.stop();
  }
  assert.throws(
    () => thread.prepare(event(10), ORDER),
    (error) => error instanceof MemplaneError && error.code === 'shutting_down',
  );
});
