import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { RespParser, RespProtocolError } from './parser.ts';

const RUNS = Number(process.env['MEMPLANE_PROPERTY_RUNS'] ?? 500);

function frame(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;
}

/** All commands that come out when the bytes arrive in pieces cut at the given places. */
function feed(bytes: Buffer, cuts: readonly number[], fast: boolean): string[][] {
  const parser = new RespParser(64 * 1024);
  const out: string[][] = [];
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let from = 0;
  for (const to of [...places, bytes.length]) {
    parser.push(Buffer.from(bytes.subarray(from, to)));
    from = to;
    for (;;) {
      if (fast && parser.nextIncrement()) {
        out.push(['CRDT.INCR', parser.name, String(parser.by)]);
        continue;
      }
      const words = parser.next();
      if (words === undefined) break;
      out.push(words);
    }
  }
  return out;
}

const word = fc.oneof(
  fc.constantFrom(
    'CRDT.INCR',
    'crdt.incr',
    'GET',
    'k',
    'ü',
    '\r\n',
    '$3',
    '*1',
    '',
    '1',
    '42',
    '-1',
  ),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
);
const increment = fc.tuple(
  fc.constant('CRDT.INCR'),
  fc.stringMatching(/^[A-Za-z0-9._:-]{1,120}$/),
  fc.nat(999_999_999).map(String),
);
const commands = fc.array(fc.oneof(fc.array(word, { minLength: 1, maxLength: 5 }), increment), {
  maxLength: 8,
});
const cuts = fc.array(fc.nat(), { maxLength: 12 });

describe('RESP parser', () => {
  it('gives the same commands however the bytes are cut, on both ways', () => {
    fc.assert(
      fc.property(commands, cuts, (sent, places) => {
        const bytes = Buffer.from(sent.map(frame).join(''));
        assert.deepEqual(feed(bytes, places, false), sent);
        assert.deepEqual(feed(bytes, places, true), sent);
      }),
      { numRuns: RUNS },
    );
  });

  it('answers junk with commands or a protocol error, never anything else', () => {
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .string({
          unit: fc.constantFrom('*', '$', '1', '-', '9', '\r', '\n', 'a', '\r\n'),
          maxLength: 60,
        })
        .map((text) => Buffer.from(text)),
      fc.tuple(commands, fc.nat(), fc.nat(255)).map(([sent, where, byte]) => {
        const bytes = Buffer.from(sent.map(frame).join('') || 'x');
        bytes[where % bytes.length] = byte;
        return bytes;
      }),
    );
    fc.assert(
      fc.property(junk, cuts, (bytes, places) => {
        const outcome = (fast: boolean) => {
          try {
            return feed(Buffer.from(bytes), places, fast);
          } catch (error) {
            assert.ok(error instanceof RespProtocolError, String(error));
            return 'refused';
          }
        };
        assert.deepEqual(outcome(true), outcome(false));
      }),
      { numRuns: RUNS },
    );
  });

  it('refuses what Redis refuses', () => {
    const cases: [string, RegExp][] = [
      ['*1\r\n+x\r\n', /expected '\$', got '\+'/],
      ['*x\r\n', /invalid multibulk length/],
      ['*99999999\r\n', /invalid multibulk length/],
      ['*1\r\n$-1\r\n', /invalid bulk length/],
      ['*1\r\n$999999999\r\n', /invalid bulk length/],
      ['*1\r\n$0000000000001\r\nx\r\n', /invalid bulk length/],
      ['ECHO "open\r\n', /unbalanced quotes/],
      ['ECHO "a"b\r\n', /unbalanced quotes/],
      [`*9999\r\n${'$1\r\nx\r\n'.repeat(9_999)}`, /^Protocol error: too big command/],
      ['x'.repeat(70_000), /too big (inline request|command)/],
    ];
    for (const [text, message] of cases) {
      const parser = new RespParser(64 * 1024);
      parser.push(Buffer.from(text));
      assert.throws(() => parser.next(), { name: 'RespProtocolError', message });
    }
  });

  it('takes inline commands, and passes over empty ones', () => {
    assert.deepEqual(feed(Buffer.from('\r\n*0\r\nPING\r\n  CRDT.GET   k \n'), [], true), [
      ['PING'],
      ['CRDT.GET', 'k'],
    ]);
    const quoted = `ECHO "a \\"b\\" \\x41\\n\\q" 'it\\'s \\n' "" pre"fix"\n`;
    assert.deepEqual(feed(Buffer.from(quoted), [], true), [
      ['ECHO', 'a "b" A\nq', "it's \\n", '', 'prefix'],
    ]);
  });

  it('tells bytes that are no UTF-8', () => {
    const parser = new RespParser(1024);
    parser.push(
      Buffer.concat([Buffer.from('*1\r\n$1\r\n'), Buffer.from([0xff]), Buffer.from('\r\n')]),
    );
    parser.next();
    assert.equal(parser.isUtf8, false);
  });
});
