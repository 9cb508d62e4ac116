export {
  Counter,
  type CrdtReadOptions,
  type CrdtWriteOptions,
  type ListedCounter,
  Register,
  ReplicatedSet,
} from './crdts.ts';
export type {
  DeadLetter,
  DeadLetterOptions,
  DeadLetterPage,
  Redrive,
  RedriveResult,
} from './dead-letters.ts';
export { MemplaneError, type MemplaneErrorDetails } from './errors.ts';
export type { FeedOptions, FeedRecord } from './feed.ts';
export type { CallOptions } from './http.ts';
export type { HeldLease, LeaseOptions } from './leases.ts';
export { Memplane } from './memplane.ts';
export { isNewerView, type ViewPosition } from './newer-view.ts';
export type { DaprOptions, MemplaneOptions, ServiceName } from './options.ts';
export type { ReplicaAlert, ReplicaMember, ReplicaMembers, ReplicaSet } from './replicas.ts';
export { type MapPath, ReplicatedMap, type ReplicatedMapField } from './replicated-map.ts';
export { entityOf, escapeId, type Scope, unescapeId } from './scope.ts';
export type * from './types.ts';
export { uuidV7 } from './uuid.ts';
export type {
  FoundEntity,
  HistoryEntry,
  HistoryOptions,
  HistoryPage,
  QueryAnswer,
  QueryRequest,
  ReplayRequest,
} from './views.ts';
