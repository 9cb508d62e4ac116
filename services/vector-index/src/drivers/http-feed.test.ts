import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import type { Invoker } from '@memplane/runtime';
import { createHttpFeed } from './http-feed.ts';

const OPTIONS = { feedWaitMs: 1_000, feed_batch_lines_max: 2 };
const line = (offset: number) => `${JSON.stringify({ partition: 3, offset, epoch: 0 })}\n`;

/** A materializer that answers with these chunks; what it was asked for is in `asked`. */
function answering(chunks: readonly string[], refuse: (selects: boolean) => Error | undefined) {
  const asked: unknown[] = [];
  const invoker: Pick<Invoker, 'stream'> = {
    async stream(_service, _path, { query = {} }) {
      asked.push(query['select']);
      const refusal = refuse(query['select'] !== undefined);
      if (refusal !== undefined) throw refusal;
      return (async function* () {
        for (const chunk of chunks) yield Buffer.from(chunk);
      })();
    },
  };
  return { asked, feed: createHttpFeed(invoker as Invoker, OPTIONS) };
}

async function offsets(feed: ReturnType<typeof createHttpFeed>): Promise<number[][]> {
  const found: number[][] = [];
  for await (const lines of feed.read(3, 0, new AbortController().signal)) {
    found.push(lines.map(({ offset }) => offset));
  }
  return found;
}

test('lines come whole, however they are cut, and so many at a time', async () => {
  const text = [1, 2, 3, 4, 5].map(line).join('');
  const cut = 2 * line(1).length + 7;
  const { asked, feed } = answering([text.slice(0, cut), text.slice(cut)], () => undefined);
  assert.deepEqual(await offsets(feed), [[1, 2], [3, 4], [5]]);
  assert.deepEqual(asked, ['recall']);
});

test('a materializer that has no selection is asked for all', async () => {
  const refused = new MemplaneError('invalid_request', 'no', { field: 'query.select' });
  const { asked, feed } = answering([line(1)], (selects) => (selects ? refused : undefined));
  assert.deepEqual(await offsets(feed), [[1]]);
  assert.deepEqual(asked, ['recall', undefined]);
});

test('any other refusal is told', async () => {
  const moving = new MemplaneError('owner_moving', 'soon');
  await assert.rejects(offsets(answering([], () => moving).feed), moving);
});
