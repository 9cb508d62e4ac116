import { deleteTopicsV6, incrementalAlterConfigsV1 } from '@platformatic/kafka';
import { BrokerLinks } from './broker-links.ts';
import { type KafkaLogOptions, type ResolvedKafkaOptions, resolveKafkaOptions } from './options.ts';
import { TopicMap } from './topic-map.ts';

/** The brokers that tests run against, from `MEMPLANE_KAFKA_BROKERS`, separated by commas. */
export function brokersUnderTest(): string[] {
  const text = process.env['MEMPLANE_KAFKA_BROKERS'];
  if (!text) throw new Error('MEMPLANE_KAFKA_BROKERS names no broker: run `make test-stack`');
  return text.split(',');
}

export async function removeTopic(options: KafkaLogOptions): Promise<void> {
  await asAdmin(options, ({ map, requestTimeoutMs, topic }) =>
    map.callAny(deleteTopicsV6.api, [{ name: topic }], requestTimeoutMs),
  );
}

const RESOURCES = { topic: 2, group: 32 } as const;
const SET = 0;

/** Gives one topic or consumer group other settings than the brokers have. */
export async function setUp(
  options: KafkaLogOptions,
  kind: keyof typeof RESOURCES,
  resourceName: string,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  const configs = Object.entries(settings).map(([name, value]) => {
    return { name, configOperation: SET, value } as const;
  });
  const resource = { resourceType: RESOURCES[kind], resourceName, configs } as const;
  await asAdmin(options, ({ map }) =>
    map.callAny(incrementalAlterConfigsV1.api, [resource], false),
  );
}

async function asAdmin(
  options: KafkaLogOptions,
  work: (admin: ResolvedKafkaOptions & { readonly map: TopicMap }) => Promise<unknown>,
): Promise<void> {
  const resolved = resolveKafkaOptions(options);
  const links = new BrokerLinks(resolved);
  try {
    await work({ ...resolved, map: new TopicMap(resolved, links) });
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
