import { createHash } from 'node:crypto';
import { firstHlcOf, formatHlc } from '@memplane/clock';

const START_MS = 1_790_000_000_000;

/** An event of a benchmark, as it goes into the log. */
export interface BenchEvent {
  /** The partition key: the entity. */
  readonly key: string;
  readonly value: Buffer;
  readonly hlc: bigint;
  /** SHA-256 of its id. */
  readonly digest: Buffer;
}

/** The entity of the event with this number. */
export function benchEntity(n: number, entities: number): string {
  return `user/${(n * 7919) % entities}`;
}

/**
 * A CloudEvent as event-ingest writes it, with a new id for each number: about 600 bytes, whose short
 * form has about 400.
 */
export function benchEvent(n: number, entity: string): BenchEvent {
  const hlc = firstHlcOf(START_MS + n);
  const id = createHash('md5').update(String(n)).digest('hex');
  const digest = createHash('sha256').update(id).digest();
  const event = {
    specversion: '1.0',
    hlc: formatHlc(hlc),
    id,
    type: 'UserMessageSent',
    source: 'bench',
    subject: entity,
    time: new Date(START_MS + n).toISOString(),
    datacontenttype: 'application/json',
    tenant: 'default',
    partitionkey: entity,
    zone: 'eventual',
    digest: digest.toString('base64url'),
    data: {
      data: { text: 'x'.repeat(250) },
      attributes: { turn: n % 97, channel: n % 3 === 0 ? 'email' : 'chat' },
    },
  };
  return { key: entity, value: Buffer.from(JSON.stringify(event)), hlc, digest };
}
