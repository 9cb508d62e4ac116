import assert from 'node:assert/strict';
import { get } from 'node:http';
import { before, test } from 'node:test';
import { DEFAULT_PARTITIONS } from '@memplane/contracts';
import { chunks, forEachAtMost, range } from '@memplane/testkit';
import { persist } from './persist.ts';
import { StackPlane } from './stack-plane.ts';

const LEAVING = 1_000;
const AT_ONCE = 8;

let plane: StackPlane;
before(async () => {
  plane = await StackPlane.connect();
});

test('callers that go away in the midst of an answer do a sidecar no harm', async () => {
  const attributes = { text: 'x'.repeat(4_000) };
  const notes = Array.from({ length: 1_200 }, (_, n) => {
    return { id: `leaving-${n}`, type: 'Noted', entity: `user/leaving-${n % 40}`, attributes };
  });
  for (const body of chunks(notes, 100)) {
    await persist(201, 'POST', `${plane.ingest}/v1/events`, { body });
  }
  const url = `${plane.materializer}/v1/feeds/agent-events?from=0&partition=`;
  let left = 0;
  await forEachAtMost(AT_ONCE, range(LEAVING), async (n) => {
    left += await leaveEarly(`${url}${n % DEFAULT_PARTITIONS}`, n % 7);
  });
  assert.ok(left > LEAVING / 20, `answers were left in their midst: ${left}`);
  await plane.restore();
});

/** Asks, and goes away after so many parts of the answer. @returns 1 where more was to come */
function leaveEarly(url: string, parts: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'dapr-api-token': plane.apiToken };
    const asked = get(url, { headers, agent: false }, (answer) => {
      let seen = 0;
      answer.on('data', () => {
        if (++seen > parts) asked.destroy();
      });
      answer.once('close', () => resolve(answer.complete ? 0 : 1));
      answer.on('error', () => {});
    });
    asked.once('error', (error) => (asked.destroyed ? resolve(1) : reject(error)));
  });
}
