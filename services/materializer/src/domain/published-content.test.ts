import assert from 'node:assert/strict';
import { test } from 'node:test';
import { viewLine, viewWithoutContent } from './feed.ts';
import { PublishedContent } from './published-content.ts';

const ERASED = { logId: 'log', partition: 3, offset: 10 };
const KEY = 'user/1';

interface Place {
  readonly logId?: string;
  readonly partition?: number;
  readonly offset: number;
}

/** A message as the sidecar publishes it. */
function message({ logId = 'log', partition = 3, offset }: Place, content: object = {}, key = KEY) {
  const line = viewLine({
    ...{ logId, epoch: 0, ownerEpoch: 1, partition, offset, key, tenant: 'default', entity: key },
    ...{ attributes: '{}', memories: '[]', sequence: 1, hlc: 1n, isSealed: false, ...content },
  });
  return { key, value: enveloped(line.json) };
}

function enveloped(json: Buffer): Buffer {
  return Buffer.from(`{"specversion":"1.0","data":${json.toString()}}`);
}

function left(...messages: readonly { readonly key: string; readonly value: Buffer }[]): number {
  const content = new PublishedContent(new Map([[KEY, ERASED]]));
  content.add(messages);
  return content.left(KEY);
}

const SAID = { attributes: '{"name":"Ada"}' };

test('what was said before an erasure is counted, and nothing else', () => {
  assert.equal(left(message({ offset: 9 }, SAID), message({ offset: 2 }, SAID)), 2);
  assert.equal(left(message({ offset: 9 }, { memories: '[{"id":"m"}]' })), 1);
  assert.equal(left(message({ offset: 10 }), message({ offset: 11 }, SAID)), 0, 'it comes after');
  assert.equal(left(message({ offset: 9 })), 0, 'it says nothing');
  assert.equal(left(message({ offset: 9 }, SAID, 'user/2')), 0, 'it is of somebody else');
});

test('a sealed view, or one that no message has room for, says nothing', () => {
  const { value } = message({ offset: 9 }, SAID);
  const { data } = JSON.parse(value.toString()) as { data: unknown };
  const line = { offset: 9, key: KEY, isSealed: true, json: Buffer.from(JSON.stringify(data)) };
  for (const why of ['sealed', 'tooLarge'] as const) {
    const { json } = viewWithoutContent(line, why);
    assert.equal(left({ key: KEY, value: enveloped(json) }), 0, why);
  }
});

test('what is of another log or partition is older, and what nobody can read counts', () => {
  assert.equal(left(message({ logId: 'former', offset: 99 }, SAID)), 1);
  assert.equal(left(message({ partition: 15, offset: 99 }, SAID)), 1);
  assert.equal(left({ key: KEY, value: Buffer.from('Ada') }), 1);
  assert.equal(left({ key: KEY, value: Buffer.alloc(0) }), 0, 'a tombstone');
});
