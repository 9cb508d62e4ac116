import { setTimeout as pause } from 'node:timers/promises';
import { TOPICS } from '@memplane/contracts';
import type { LogWriter } from '@memplane/event-log';
import { CompactedTopic, openKafkaLog } from '@memplane/event-log/kafka';
import { createLogger } from '@memplane/runtime';
import {
  createDaprInvoker,
  DaprPublisher,
  DaprState,
  type SidecarConfig,
  waitForSidecar,
} from '@memplane/runtime/dapr';
import { DaprStrong } from '@memplane/runtime/strong';
import type { IngestConfig } from './config.ts';
import { DaprDuplicates } from './drivers/dapr-duplicates.ts';
import { Etcd } from './drivers/etcd.ts';
import { strongKeys } from './drivers/etcd-strong.ts';
import { KafkaDeadLetters } from './drivers/kafka-dead-letters.ts';
import { DaprRedriveRecord } from './inbox/redrive-record.ts';
import type { IngestContext } from './service.ts';

/** The state component of what may be forgotten. */
const STATE = 'state';
/** The one of what is linearizable. */
const STRONG = 'strong';

/**
 * What event-ingest runs on in the distributed plane: the log on Kafka, all else by its sidecar.
 * @throws MemplaneError when broker or sidecar do not answer in time
 */
export async function openDistributed(
  config: IngestConfig,
  sidecar: SidecarConfig,
): Promise<IngestContext & { readonly logWriter: LogWriter }> {
  const brokers = brokersOf(config.kafkaBrokers ?? '');
  await waitForSidecar(sidecar, config.sidecarTimeoutMs);
  const { writer } = await openKafkaLog({
    brokers,
    topic: TOPICS.events,
    deliveryDeadlineMs: config.kafkaDeliveryDeadlineMs,
    clientId: 'event-ingest',
  });
  const { etcdEndpoints } = config;
  const etcd = etcdEndpoints === undefined ? undefined : new Etcd(etcdEndpoints);
  const strong = new DaprStrong({
    state: new DaprState(sidecar, STRONG),
    timeoutMs: config.strongTimeoutMs,
    settleMs: config.strongSettleMs,
    monotonicMs: () => performance.now(),
    pause,
    ...(etcd === undefined ? {} : { keys: (prefix) => strongKeys(etcd, prefix) }),
  });
  const logger = createLogger('event-ingest', config.logLevel);
  const state = new DaprState(sidecar, STATE);
  return {
    logWriter: writer,
    logger,
    invoker: createDaprInvoker(sidecar),
    strong: { store: strong, isAlone: false, prepare: () => strong.prepare() },
    viewsCompactionLagMs: () => compactionLagMs(brokers),
    stallMs: config.kafkaStallMs,
    createDuplicates: (onUnknown) =>
      new DaprDuplicates({
        state,
        log: writer.info,
        recent_ids_max: config.recent_ids_max,
        ttlSeconds: config.recentIdsTtlSeconds,
        timeoutMs: config.recentIdsTimeoutMs,
        pauseMs: config.recentIdsPauseMs,
        queue_ids_max: config.recent_ids_queue_max,
        onUnknown,
      }),
    inbox: {
      deadLetters: new KafkaDeadLetters(new DaprPublisher(sidecar), brokers),
      redriven: new DaprRedriveRecord(state, logger, Date.now),
    },
  };
}

/** How soon `memory-views` loses what was replaced. */
async function compactionLagMs(brokers: readonly string[]): Promise<number | undefined> {
  await using topic = await CompactedTopic.open({ brokers, topic: TOPICS.views });
  return (await topic?.compaction())?.lagMsMax;
}

export function brokersOf(text: string): string[] {
  return text
    .split(',')
    .map((broker) => broker.trim())
    .filter((broker) => broker !== '');
}
