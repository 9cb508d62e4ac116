export { CompactedTopic, type Compaction } from './compacted-topic.ts';
export type { Compression } from './compression.ts';
export type { GroupOptions, KafkaGroupAssignment } from './group-assignment.ts';
export { type NewLog, openNewKafkaLog } from './new-log.ts';
export {
  type OpenKafkaLogOptions,
  openKafkaAdmin,
  openKafkaAssignment,
  openKafkaLog,
  openKafkaReader,
} from './open.ts';
export { KAFKA_LOG_DEFAULTS, type KafkaLogOptions } from './options.ts';
export type { KafkaReader } from './reader.ts';
export { NEW_TOPIC_DEFAULTS, type NewTopic } from './topic.ts';
export type { KafkaAdmin, KafkaWriter } from './writer.ts';
