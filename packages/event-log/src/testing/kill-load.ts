/*
 * Appends without an end to the log in the folder given, and tells each acknowledged record by a
 * line "partition offset n" on its standard output. Meant to be killed.
 */
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
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
    await tell(lines.join(''));
  }
}

/** A pipe that is not read from for a while takes nothing. So short a text it takes whole or not. */
async function tell(text: string): Promise<void> {
  for (;;) {
    try {
      writeSync(1, text);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      await sleep(1);
    }
  }
}

await Promise.all(Array.from({ length: WRITERS }, write));
