import { setTimeout as sleep } from 'node:timers/promises';
import { DEFAULT_PARTITIONS, TOPICS as NAMES } from '@memplane/contracts';
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
    name: NAMES.events,
    partitions: DEFAULT_PARTITIONS,
    configs: {
      // The plane itself moves the log's start, once what goes is archived and verified.
      'retention.ms': NEVER,
      'retention.bytes': NEVER,
      'segment.bytes': String(1024 ** 3),
      'max.message.bytes': String(2 * 1024 * 1024),
    },
  },
  { name: NAMES.inbox, partitions: DEFAULT_PARTITIONS, configs: { 'retention.ms': WEEK_MS } },
  {
    name: NAMES.inboxDead,
    partitions: 1,
    // A dead letter holds a whole message in base64.
    configs: { 'retention.ms': WEEK_MS, 'max.message.bytes': String(2 * 1024 * 1024) },
  },
  {
    name: NAMES.views,
    partitions: DEFAULT_PARTITIONS,
    configs: {
      'cleanup.policy': 'compact',
      // So that what an erasure replaces goes in minutes.
      'max.compaction.lag.ms': String(5 * 60_000),
      'max.message.bytes': String(2 * 1024 * 1024),
    },
  },
  { name: NAMES.alerts, partitions: 1, configs: { 'retention.ms': WEEK_MS } },
];

const TIMEOUT_MS = 30_000;
const RETRY_MS = 200;
/** The client waits for ever where a broker that has just started closes on it. */
const ATTEMPT_MS = 6_000;

/**
 * Makes those topics that are not there yet; says which. A broker that has just started may refuse
 * for a moment (its controller still holds it for gone), so this tries again for half a minute.
 *
 * @throws Error with the broker's own words
 */
export async function makeTopics(
  brokers: readonly string[],
  topics: readonly TopicSpec[] = TOPICS,
): Promise<string[]> {
  const deadline = performance.now() + TIMEOUT_MS;
  const made = new Set<string>();
  for (;;) {
    try {
      await makeMissing(brokers, topics, made);
      return [...made];
    } catch (error) {
      if (performance.now() > deadline) {
        throw new Error(`kafka: topics were not made: ${reasonsOf(error).join('; ')}`);
      }
    }
    await sleep(RETRY_MS);
  }
}

async function makeMissing(
  brokers: readonly string[],
  topics: readonly TopicSpec[],
  made: Set<string>,
): Promise<void> {
  const admin = new Admin({ clientId: 'memplane-stack', bootstrapBrokers: [...brokers] });
  try {
    const there = new Set(await bounded(admin.listTopics({ includeInternals: false })));
    for (const { name, partitions, configs } of topics) {
      if (there.has(name)) continue;
      const creation = admin.createTopics({
        topics: [name],
        partitions,
        replicas: 1,
        configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
      });
      made.add(name);
      await bounded(creation);
    }
  } finally {
    await bounded(admin.close()).catch(() => {});
  }
}

async function bounded<T>(call: Promise<T>): Promise<T> {
  const ended = new AbortController();
  const late = sleep(ATTEMPT_MS, undefined, { signal: ended.signal }).then(() => {
    throw new Error(`the broker did not answer in ${ATTEMPT_MS} ms`);
  });
  // The one that loses has nobody left to hear it.
  late.catch(() => {});
  call.catch(() => {});
  try {
    return await Promise.race([call, late]);
  } finally {
    ended.abort();
  }
}

/** The client wraps what the broker said in several layers. */
function reasonsOf(error: unknown): string[] {
  if (error instanceof AggregateError) return error.errors.flatMap(reasonsOf);
  return [error instanceof Error ? error.message : String(error)];
}
