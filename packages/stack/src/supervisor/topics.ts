import { Admin } from '@platformatic/kafka';

export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  readonly configs: Readonly<Record<string, string>>;
}

const NEVER = '-1';
const WEEK_MS = String(7 * 24 * 3_600_000);

/** The plane's topics; on one broker, one replica of each. */
export const TOPICS: readonly TopicSpec[] = [
  {
    name: 'agent-events',
    partitions: 12,
    configs: {
      // The plane itself moves the log's start, once what goes is archived and verified.
      'retention.ms': NEVER,
      'retention.bytes': NEVER,
      'segment.bytes': String(1024 ** 3),
      'max.message.bytes': String(2 * 1024 * 1024),
    },
  },
  { name: 'agent-inbox', partitions: 12, configs: { 'retention.ms': WEEK_MS } },
  { name: 'agent-inbox-dead', partitions: 1, configs: { 'retention.ms': WEEK_MS } },
  {
    name: 'memory-views',
    partitions: 12,
    configs: { 'cleanup.policy': 'compact', 'max.message.bytes': String(2 * 1024 * 1024) },
  },
  { name: 'memory-alerts', partitions: 1, configs: { 'retention.ms': WEEK_MS } },
];

/** Makes those topics that are not there yet; says which. */
export async function makeTopics(
  brokers: readonly string[],
  topics: readonly TopicSpec[] = TOPICS,
): Promise<string[]> {
  const admin = new Admin({ clientId: 'memplane-stack', bootstrapBrokers: [...brokers] });
  try {
    const there = new Set(await admin.listTopics({ includeInternals: false }));
    const missing = topics.filter((topic) => !there.has(topic.name));
    for (const { name, partitions, configs } of missing) {
      await admin.createTopics({
        topics: [name],
        partitions,
        replicas: 1,
        configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
      });
    }
    return missing.map((topic) => topic.name);
  } finally {
    await admin.close();
  }
}
