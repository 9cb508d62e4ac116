import type { BlobStore } from '@memplane/blob-store';
import { newReplicaRedis } from '@memplane/crdt-sync/backup';
import { newStrongEtcd } from '@memplane/event-ingest/backup';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import { openArchivePlace } from './place.ts';
import { openTarget, type RestoreTarget } from './restore-target.ts';
import type { RestoredShape } from './restored-shape.ts';

/** The servers of a distributed plane that is to be. */
export interface Stores {
  /** `host:port` of some brokers; the topic of events is there, and empty. */
  readonly kafka: readonly string[];
  /** A place as of a backup: what the materializer is to have as its blob store. */
  readonly archive: string;
  /** One for each replica of crdt-sync. */
  readonly redis: readonly string[];
  /** Members of etcd, with commas. */
  readonly etcd: string;
  /** Of the instances of vector-index, as far as they can be reached from here. */
  readonly indexDirs: readonly string[];
}

export interface StoresTargetOptions {
  readonly stores: Stores;
  readonly shape: RestoredShape;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly now: () => number;
}

/**
 * The stores of a distributed plane. The log's id is the topic's: a new one has another.
 * @throws CommandError for a store that has anything, a log that grew; what opening them throws
 */
export function openStoresTarget(options: StoresTargetOptions): Promise<RestoreTarget> {
  const { stores, shape, env, now } = options;
  if (shape.lineage !== undefined) throw grown();
  return openTarget(async (opened) => {
    const place = await openArchivePlace(stores.archive, env);
    opened(() => place.close());
    await refuseFilled(place.blobs, stores.archive);
    const strong = await newStrongEtcd(stores.etcd);
    if (strong === undefined) throw filled('etcd', 'has records of event-ingest');
    const replicas = [];
    for (const url of stores.redis) {
      const replica = await newReplicaRedis(url, { env, now });
      if (replica === undefined) throw filled(new URL(url).host, 'has values');
      opened(() => replica.storage.store.close());
      replicas.push(replica);
    }
    const { openNewKafkaLog } = await import('@memplane/event-log/kafka');
    const log = await openNewKafkaLog({ brokers: stores.kafka }, shape);
    opened(() => log.close());
    return { log, archive: place.blobs, replicas, strong, indexDirs: stores.indexDirs };
  });
}

async function refuseFilled(blobs: BlobStore, place: string): Promise<void> {
  for await (const { name } of blobs.list('')) throw filled(place, `is not empty (${name})`);
}

function grown(): CommandError {
  const why = 'a topic of Kafka can not be split where the log of this backup was';
  return new CommandError(`Restore it into a standalone plane: ${why}.`, EXIT.refused);
}

function filled(what: string, why: string): CommandError {
  return new CommandError(`${what} ${why}: a backup is restored into new stores.`, EXIT.refused);
}
