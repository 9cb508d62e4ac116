/*
 * Appends without an end to the log in the folder given, and tells each acknowledged record by a
 * line "partition offset n" on its standard output. Meant to be killed.
 */
import { writeSync } from 'node:fs';
import { newRecord } from '../contract.ts';
import { openEmbeddedLog } from '../embedded/open.ts';

const [dir = '', firstText = '0'] = process.argv.slice(2);
const PARTITIONS = 4;
const WRITERS = 8;
const { writer } = await openEmbeddedLog({ dir, partitions: PARTITIONS, segmentBytes: 256 * 1024 });
let n = Number(firstText);

async function write(): Promise<void> {
  for (;;) {
    const numbers = Array.from({ length: 1 + (n % 9) }, () => n++);
    const records = numbers.map((m) =>
      newRecord(m % PARTITIONS, m, Buffer.alloc(200 + (m % 300), m)),
    );
    const offsets = await writer.append(records);
    const lines = numbers.map((m, i) => `${m % PARTITIONS} ${offsets[i]} ${m}\n`);
    writeSync(1, lines.join(''));
  }
}

await Promise.all(Array.from({ length: WRITERS }, write));
