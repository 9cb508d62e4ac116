import { deleteTopicsV6 } from '@platformatic/kafka';
import { BrokerLinks } from './broker-links.ts';
import { type KafkaLogOptions, resolveKafkaOptions } from './options.ts';
import { TopicMap } from './topic-map.ts';

/** The brokers that tests run against, from `MEMPLANE_KAFKA_BROKERS`, separated by commas. */
export function brokersUnderTest(): string[] {
  const text = process.env['MEMPLANE_KAFKA_BROKERS'];
  if (!text) throw new Error('MEMPLANE_KAFKA_BROKERS names no broker: run `make test-stack`');
  return text.split(',');
}

export async function removeTopic(options: KafkaLogOptions): Promise<void> {
  const resolved = resolveKafkaOptions(options);
  const links = new BrokerLinks(resolved);
  try {
    const map = new TopicMap(resolved, links);
    await map.callAny(deleteTopicsV6.api, [{ name: resolved.topic }], resolved.requestTimeoutMs);
  } finally {
    await links.close();
  }
}

/** Closes what a test has opened, also when it failed: else its connections keep the process. */
export class Closers {
  readonly #opened: { close(): Promise<unknown> }[] = [];

  add<T extends { close(): Promise<unknown> }>(opened: T): T {
    this.#opened.push(opened);
    return opened;
  }

  async closeAll(): Promise<void> {
    await Promise.allSettled(this.#opened.map((opened) => opened.close()));
    this.#opened.length = 0;
  }
}
