import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { emptied, entityKey, openEvent, sealEvent, sealedKeyId, UnsealError } from './index.ts';

const newKey = () => entityKey(randomBytes(12).toString('base64url'), randomBytes(64));
const DIGEST = 'd'.repeat(43);

/** As event-ingest writes it. */
function written(id: string, data: unknown, more = ''): Buffer {
  return Buffer.from(
    `{"specversion":"1.0","hlc":"0197a0b1c2d3-0001","id":${JSON.stringify(id)},"type":"Said"` +
      `,"source":"a","subject":"user/1","time":"2026-01-01T00:00:00Z"` +
      `,"datacontenttype":"application/json","tenant":"default","partitionkey":"user/1"` +
      `,"zone":"eventual","digest":"${DIGEST}"${more},"data":${JSON.stringify(data)}}`,
  );
}

test('any payload comes back with its key, and is empty without it', () => {
  const texts = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom(',"data":', '","zone":"', ',"keyid":"', '"}}', ',"digest":"x'),
  );
  fc.assert(
    fc.property(
      texts,
      fc.dictionary(texts, fc.jsonValue({ maxDepth: 1 }), { maxKeys: 4 }),
      texts,
      (id, data, cause) => {
        const key = newKey();
        const value = written(id, data, `,"causationid":${JSON.stringify(cause)}`);
        const { value: sealed, digest } = sealEvent(value, key);
        assert.equal(sealedKeyId(sealed), key.id);
        assert.equal(sealedKeyId(value), undefined);
        const event = JSON.parse(sealed.toString());
        const opened = JSON.parse(openEvent(sealed, key).toString());
        const { data: payload, ...rest } = JSON.parse(value.toString());
        assert.deepEqual(opened, { ...rest, keyid: key.id, digest, data: payload });
        assert.notEqual(digest, DIGEST);
        assert.deepEqual(Object.keys(event.data), ['sealed']);
        const gone = JSON.parse(openEvent(sealed, undefined).toString());
        assert.deepEqual(gone, { ...rest, keyid: key.id, digest, data: {} });
        assert.deepEqual(JSON.parse(emptied(value).toString()), { ...rest, data: {} });
      },
    ),
  );
});

test('what was changed, or moved to another event, does not open', () => {
  const key = newKey();
  const { value: sealed } = sealEvent(written('a', { data: 'secret' }), key);
  const { value: other } = sealEvent(written('b', { data: 'secret' }), key);
  assert.throws(() => openEvent(sealed, newKey()), UnsealError);
  const moved = JSON.parse(other.toString());
  const text = other
    .toString()
    .replace(moved.data.sealed, JSON.parse(sealed.toString()).data.sealed);
  assert.throws(() => openEvent(Buffer.from(text), key), UnsealError);
  for (let at = sealed.indexOf('sealed') + 10; at < sealed.length - 4; at += 7) {
    const changed = Buffer.from(sealed);
    changed[at] = changed[at] === 0x41 ? 0x42 : 0x41;
    assert.throws(() => openEvent(changed, key), UnsealError, `byte ${at}`);
  }
});

test('a stamp and a strong zone may be written after sealing', () => {
  const key = newKey();
  const { value } = sealEvent(written('a', { data: 1 }), key);
  value.write('0297a0b1c2d3-0002', 28, 'latin1');
  const strong = value.toString().replace('"zone":"eventual"', '"zone":"strong","sequence":4');
  const opened = JSON.parse(openEvent(Buffer.from(strong), key).toString());
  assert.deepEqual([opened.hlc, opened.sequence, opened.data.data], ['0297a0b1c2d3-0002', 4, 1]);
});
