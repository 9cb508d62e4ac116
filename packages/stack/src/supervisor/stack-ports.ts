/** Offsets of all ports of a stack from its port base. */
export const PORTS = {
  /** Two in a row for each service: its instances. */
  services: 1,
  /** Two in a row: RESP of the instances of crdt-sync. */
  resp: 11,
  /** Two in a row. */
  gossip: 13,
  /** Two in a row: by which the instances of the materializer reach each other. */
  peers: 15,
  milvus: 30,
  milvusMetrics: 31,
  etcd: 37,
  etcdPeer: 38,
  /** Ten in a row. */
  milvusInternal: 40,
  /** Three in a row. */
  sentry: 50,
  s3: 70,
  /** What sidecars keep: recent ids. */
  redis: 79,
  /** Two in a row: each replica of crdt-sync has its own. */
  replicaRedis: 80,
  kafka: 92,
  kafkaController: 93,
  /** Four in a row for each sidecar: the agent's, then those of the instances. */
  sidecars: 100,
} as const;

export const INSTANCES_PER_SERVICE = 2;
export const PORTS_PER_SIDECAR = 4;
