import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { FeedRecord, LoggedEvent } from '@memplane/testkit';
import type { StackPlane } from './stack-plane.ts';

/** It ends when nothing has come for so long. */
const IDLE_MS = 4_000;
const PATIENT_IDLE_MS = 30_000;

export interface ConsumedRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly value: string;
}

/**
 * All of a topic as Kafka's own `kafka-console-consumer` shows it: what is judged by it has passed
 * through no code of the project.
 */
export async function consumeAll(
  plane: StackPlane,
  topic: string,
  idleMs = IDLE_MS,
): Promise<ConsumedRecord[]> {
  const { MEMPLANE_KAFKA_LIBS: libs = '', MEMPLANE_KAFKA_BROKERS: brokers = '' } =
    plane.plans.exports;
  const properties = ['print.partition=true', 'print.offset=true', 'print.key=true'];
  const child = spawn(
    'java',
    [
      ...['-XX:TieredStopAtLevel=1', '-Xmx256m', '-cp', join(libs, '*')],
      ...['org.apache.kafka.tools.consumer.ConsoleConsumer', '--bootstrap-server', brokers],
      ...['--topic', topic, '--from-beginning', '--timeout-ms', String(idleMs)],
      ...['--isolation-level', 'read_committed'],
      ...properties.flatMap((property) => ['--property', property]),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let said = '';
  child.stderr.on('data', (part: Buffer) => {
    said = (said + part.toString('utf8')).slice(-4_000);
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const records: ConsumedRecord[] = [];
  for await (const line of createInterface({ input: child.stdout, crlfDelay: Infinity })) {
    const match = /^Partition:(\d+)\tOffset:(\d+)\t([^\t]*)\t(.*)$/.exec(line);
    if (match === null) throw new Error(`kafka-console-consumer: ${line}\n${said}`);
    const [, partition, offset, key = '', value = ''] = match;
    records.push({ partition: Number(partition), offset: Number(offset), key, value });
  }
  await ended;
  // Without more to come it ends by a timeout, which it reports; its sum says that it got that far.
  if (!said.includes(`Processed a total of ${records.length} messages`)) {
    throw new Error(`kafka-console-consumer read ${records.length} records and said:\n${said}`);
  }
  return records.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

let mostEvents = 1;

/**
 * The events of the log, as the checkers want them. A log does not shrink: where less comes than did
 * before, the consumer may have given up before it was given anything, on a busy machine. It is asked
 * once more, with patience; what it shows then is judged.
 */
export async function consumeEvents(plane: StackPlane): Promise<FeedRecord[]> {
  let records = await consumeAll(plane, 'agent-events');
  if (records.length < mostEvents) {
    console.log(`# the console consumer showed ${records.length} events, ${mostEvents} before`);
    records = await consumeAll(plane, 'agent-events', PATIENT_IDLE_MS);
  }
  mostEvents = Math.max(mostEvents, records.length);
  return records.map(({ partition, offset, value }) => ({
    ...{ partition, offset, epoch: 0 },
    event: JSON.parse(value) as LoggedEvent,
  }));
}
