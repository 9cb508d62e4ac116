/** What the fuzzer, or somebody who read the code, found; kept for good. */
export interface Case {
  readonly name: string;
  /** Latin-1. */
  readonly bytes: Buffer;
  readonly cuts?: readonly number[];
}

const bytes = (text: string) => Buffer.from(text, 'latin1');

export const CASES: readonly Case[] = [
  {
    name: 'a client that says at once that it sends no more hears its answers',
    bytes: bytes('*3\r\n$9\r\nCRDT.INCR\r\n$3\r\nn21\r\n$2\r\n48\r\n'),
  },
  {
    name: 'a half-close in the middle of a command',
    bytes: bytes('PING\r\n*2\r\n$4\r\nECHO\r\n$9'),
  },
  { name: 'quotes of an inline command', bytes: bytes(`ECHO "a b\\x41\\n"\r\nECHO 'it\\'s'\r\n`) },
  { name: 'a quote that is not closed', bytes: bytes('ECHO "a b\r\nPING\r\n') },
  { name: 'something behind a quote', bytes: bytes('ECHO "a"b\r\nPING\r\n') },
  { name: 'a NUL ends an inline command', bytes: bytes('ECHO a\0b "\r\nPING\r\n') },
  { name: 'a length of zeros', bytes: bytes(`*2\r\n$4\r\nECHO\r\n$${'0'.repeat(12)}\r\n\r\n`) },
  {
    name: 'a length of too many zeros, cut anywhere',
    bytes: bytes(`*2\r\n$4\r\nECHO\r\n$${'0'.repeat(13)}\r\n\r\n`),
    cuts: [20, 25],
  },
  { name: 'negative counts are passed over', bytes: bytes('*-1\r\n*-9\r\n*0\r\nPING\r\n') },
  { name: 'a negative length', bytes: bytes('*2\r\n$4\r\nECHO\r\n$-1\r\n') },
  { name: 'nested arrays', bytes: bytes(`${'*1\r\n'.repeat(5_000)}$4\r\nPING\r\n`) },
  { name: 'a million arguments that do not come', bytes: bytes('*1048576\r\n$4\r\nPING\r\n') },
  { name: 'more arguments than there may be', bytes: bytes('*1048577\r\n$4\r\nPING\r\n') },
  { name: 'a length beyond 64 bits', bytes: bytes('*1\r\n$99999999999999999999\r\nPING\r\n') },
  {
    name: 'bytes that are no text are given back, and no name',
    bytes: bytes('*2\r\n$4\r\nECHO\r\n$3\r\n\xff\0\xfe\r\n*2\r\n$8\r\nCRDT.GET\r\n$1\r\n\xff\r\n'),
    cuts: [24, 25, 26],
  },
  { name: 'nothing behind QUIT is answered', bytes: bytes('QUIT\r\nPING\r\n*x\r\n') },
  {
    name: 'one byte a packet',
    bytes: bytes('*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\nPING\r\n*1\r\n$4\r\nPING\r\n'),
    cuts: Array.from({ length: 50 }, (_, i) => i),
  },
];
