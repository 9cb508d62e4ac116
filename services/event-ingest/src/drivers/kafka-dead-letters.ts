import { MemplaneError, TOPICS } from '@memplane/contracts';
import { type KafkaReader, openKafkaReader } from '@memplane/event-log/kafka';
import type { DaprPublisher } from '@memplane/runtime/dapr';
import {
  type DeadLetter,
  type DeadLetterLog,
  type DeadLetterPage,
  type KeptDeadLetter,
  readLetter,
  storedLetter,
} from '../domain/dead-letter.ts';

const PAGE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Dead letters in the topic `agent-inbox-dead`: published through the sidecar, read by their place,
 * since operators look where they like and no group's offsets say where.
 */
export class KafkaDeadLetters implements DeadLetterLog {
  readonly #publisher: DaprPublisher;
  readonly #brokers: readonly string[];
  /** Opened when somebody first looks. */
  #reader: Promise<KafkaReader> | undefined;

  constructor(publisher: DaprPublisher, brokers: readonly string[]) {
    this.#publisher = publisher;
    this.#brokers = brokers;
  }

  async keep(letter: DeadLetter): Promise<void> {
    const { key } = letter;
    const entry = { value: storedLetter(letter), ...(key === undefined ? {} : { key }) };
    await this.#publisher.publish(TOPICS.inboxDead, [entry]);
  }

  async list(cursor: string | undefined, limit: number): Promise<DeadLetterPage> {
    const reader = await this.#open();
    const letters: KeptDeadLetter[] = [];
    let { partition, offset } = placeOf(cursor);
    for (; partition < reader.info.partitions; partition++, offset = 0) {
      const { start, end } = await reader.bounds(partition);
      offset = Math.max(offset, start);
      while (offset < end) {
        if (letters.length === limit) return { letters, next: `${partition}:${offset}` };
        const maxRecords = limit - letters.length;
        const options = { maxBytes: PAGE_BYTES_MAX, maxRecords };
        const records = await reader.read(partition, offset, options);
        if (records.length === 0) break;
        for (const record of records) {
          letters.push({
            partition,
            offset: record.offset,
            letter: readLetter(record.value, record.key),
          });
          offset = record.offset + 1;
        }
      }
    }
    return { letters, next: undefined };
  }

  async get(partition: number, offset: number): Promise<KeptDeadLetter> {
    const reader = await this.#open();
    const isThere = partition < reader.info.partitions;
    const { start, end } = isThere ? await reader.bounds(partition) : { start: 0, end: 0 };
    if (offset < start || offset >= end) throw notThere(partition, offset);
    const options = { maxBytes: PAGE_BYTES_MAX, maxRecords: 1 };
    const [record] = await reader.read(partition, offset, options);
    if (record?.offset !== offset) throw notThere(partition, offset);
    return { partition, offset, letter: readLetter(record.value, record.key) };
  }

  async close(): Promise<void> {
    const opened = await this.#reader?.catch(() => undefined);
    await opened?.close();
  }

  #open(): Promise<KafkaReader> {
    const brokers = this.#brokers;
    this.#reader ??= openKafkaReader({ brokers, topic: TOPICS.inboxDead, partitionsInitial: 1 });
    this.#reader.catch(() => {
      this.#reader = undefined;
    });
    return this.#reader;
  }
}

/** @throws MemplaneError `invalid_cursor` */
function placeOf(cursor: string | undefined): { partition: number; offset: number } {
  if (cursor === undefined) return { partition: 0, offset: 0 };
  const match = /^(\d{1,4}):(\d{1,15})$/.exec(cursor);
  if (!match) {
    throw new MemplaneError('invalid_cursor', 'This is no cursor of dead letters.', {
      field: 'query.cursor',
    });
  }
  return { partition: Number(match[1]), offset: Number(match[2]) };
}

function notThere(partition: number, offset: number): MemplaneError {
  return new MemplaneError('not_found', `There is no dead letter ${partition}/${offset}.`);
}
