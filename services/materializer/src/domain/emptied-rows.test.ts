import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { partitionKey } from '@memplane/contracts';
import { emptiedRow } from './emptied-rows.ts';
import { PLANE, ShardKeys, toKey } from './keys.ts';
import {
  decodeHead,
  decodeHistory,
  decodeSnapshot,
  encodeHead,
  encodeHistory,
  encodeId,
  encodeMemory,
  encodeSnapshot,
  encodeUntil,
} from './rows.ts';

const SECRET = 'a violin';
const VALUE =
  '{"specversion":"1.0","hlc":"0197a0b1c2d3-0001","id":"1","type":"Said","source":"a"' +
  ',"subject":"user/1","time":"2026-01-01T00:00:00Z","datacontenttype":"application/json"' +
  `,"tenant":"acme","partitionkey":"acme:user/1","zone":"eventual","digest":"${'d'.repeat(43)}"` +
  `,"data":{"attributes":{"likes":"${SECRET}"}}}`;

const keys = new ShardKeys('acme', 3);
const isErased = (key: string) => key === partitionKey('acme', 'user/1');
const emptied = (key: string, value: Buffer) => emptiedRow({ key: toKey(key), value }, isErased);
/** As `entriesOf` writes a text at a path. */
const entry = `likes\x004${SECRET}\x00\x00`;

describe('rows of an entity that is left out', () => {
  test('lose what was said, and keep counts, offsets and stamps', () => {
    const attributes = JSON.stringify({ likes: SECRET });
    const head = {
      ...{ sessionActive: true, isSealed: false, sequence: 7, offset: 40, hlc: 99n },
      ...{ bytesSinceSnapshot: 12, memoryCount: 2, memoryBytes: 80, since: [3] },
      ...{ attributes, attributesBytes: attributes.length },
    };
    const found = decodeHead(emptied(keys.head('user/1'), encodeHead(head))?.value as Buffer);
    const { attributesBytes: _bytes, ...kept } = head;
    const none = { memoryCount: 0, memoryBytes: 0, since: [], attributes: Buffer.from('{}') };
    assert.deepEqual(found, { ...kept, ...none });

    const row = encodeHistory(false, 7, 99n, Buffer.from(VALUE));
    const history = decodeHistory(emptied(keys.event('user/1', 40), row)?.value as Buffer);
    assert.deepEqual([history.sequence, history.maxHlc], [7, 99n]);
    assert.deepEqual(JSON.parse(history.event.toString()), { ...JSON.parse(VALUE), data: {} });

    const state = encodeSnapshot(7, 99n, `{"attributes":${attributes},"memories":[]}`);
    const snapshot = decodeSnapshot(emptied(keys.snapshot('user/1', 40), state)?.value as Buffer);
    assert.deepEqual(snapshot, { sequence: 7, hlc: 99n, state: { attributes: {}, memories: [] } });
  });

  test('go where they are nothing but content', () => {
    const memory = encodeMemory(40, 0, JSON.stringify({ text: SECRET }));
    const offset = Buffer.concat([Buffer.from([1, 0]), Buffer.alloc(6)]);
    for (const [key, value] of [
      [keys.memory('user/1', 'm'), memory],
      [keys.until('user/1', 40), encodeUntil(41, 0)],
      [keys.liveAttribute(entry, 'user/1'), offset],
      [keys.formerAttribute(entry, 'user/1', 40), offset],
    ] as const) {
      assert.equal(emptied(key, value), undefined, JSON.stringify(key));
    }
  });

  test('of others, of other tenants, and of the shard itself are as they were', () => {
    const row = encodeHistory(false, 7, 99n, Buffer.from(VALUE));
    const memory = encodeMemory(40, 0, JSON.stringify({ text: SECRET }));
    const other = new ShardKeys('other', 3);
    const plane = new ShardKeys(PLANE, 3);
    for (const [key, value] of [
      [keys.event('user/10', 40), row],
      [keys.memory('user/10', 'm'), memory],
      [other.event('user/1', 40), row],
      [other.memory('user/1', 'm'), memory],
      [keys.id('1', 'user/1'), encodeId(40, 'd'.repeat(43))],
      [plane.shard(), Buffer.from('{}')],
      [plane.clearing('acme', 'user/1'), Buffer.from('{}')],
    ] as const) {
      assert.deepEqual(emptied(key, value), { key: toKey(key), value }, JSON.stringify(key));
    }
  });
});
