/** What befalls a stack in one round. */
export interface Fault {
  readonly name: string;
  readonly parts: readonly string[];
  readonly isPause?: boolean;
  /** Everything by the inbox arrives twice and more, in any order. */
  readonly isDisorder?: boolean;
  /** The part is in a network namespace whose link to Kafka is cut. */
  readonly isCut?: boolean;
}

/** The first fourteen are what a short run has: each kind once. */
export const FAULTS: readonly Fault[] = [
  { name: 'kill -9 Kafka', parts: ['kafka'] },
  { name: 'kill -9 event-ingest', parts: ['event-ingest-1'] },
  { name: 'kill -9 materializer', parts: ['materializer-1'] },
  { name: 'kill -9 crdt-sync', parts: ['crdt-sync-1'] },
  { name: 'kill -9 vector-index', parts: ['vector-index-1'] },
  { name: 'kill -9 sidecars', parts: ['materializer-2-dapr', 'vector-index-2-dapr'] },
  { name: 'kill -9 Redis', parts: ['redis'] },
  { name: 'kill -9 the Redis of a replica', parts: ['crdt-sync-1-redis'] },
  { name: 'kill -9 etcd', parts: ['etcd'] },
  { name: 'kill -9 Milvus', parts: ['milvus'] },
  { name: 'SIGSTOP the owner of shards', parts: ['materializer-2'], isPause: true },
  { name: 'duplicated and reordered deliveries', parts: [], isDisorder: true },
  { name: 'cut the owner of shards from Kafka', parts: ['materializer-1'], isCut: true },
  { name: 'cut event-ingest from Kafka', parts: ['event-ingest-2'], isCut: true },
  { name: 'SIGSTOP event-ingest', parts: ['event-ingest-2'], isPause: true },
  { name: 'kill -9 both materializers', parts: ['materializer-1', 'materializer-2'] },
  { name: 'kill -9 sidecars of ingest', parts: ['event-ingest-1-dapr', 'event-ingest-2-dapr'] },
  { name: 'SIGSTOP a sidecar', parts: ['crdt-sync-2-dapr'], isPause: true },
  { name: 'kill -9 the Redis of the other replica', parts: ['crdt-sync-2-redis'] },
  { name: 'kill -9 the second vector-index', parts: ['vector-index-2'] },
  { name: 'SIGSTOP vector-index', parts: ['vector-index-1'], isPause: true },
];
