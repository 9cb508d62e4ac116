import { createHash } from 'node:crypto';
import { DataType, type FieldType } from '@zilliz/milvus2-sdk-node';
import { TAG_BYTES_MAX, TAGS_MAX } from './expression.ts';

/** Version of the fields below; another one is another collection, filled anew. */
const FORMAT_VERSION = 1;
/** Longest text that Milvus takes; the whole of it is kept here. */
export const TEXT_BYTES_MAX = 60_000;
export const METADATA_BYTES_MAX = 60_000;

/** The collection of a generation: instances that hold the same vectors agree on it unasked. */
export function collectionName(
  alias: string,
  logId: string,
  model: string | undefined,
  dimensions: number,
): string {
  const text = JSON.stringify([FORMAT_VERSION, logId, model ?? null, dimensions]);
  return `${alias}_${createHash('sha256').update(text).digest('hex').slice(0, 16)}`;
}

/** A row per memory version; its key is the place in the log where it starts. */
export function rowFields(dimensions: number): FieldType[] {
  const text = (name: string, max_length: number) => ({
    name,
    data_type: DataType.VarChar,
    max_length,
  });
  return [
    { name: 'position', data_type: DataType.Int64, is_primary_key: true },
    { ...text('entity_key', 400), is_partition_key: true },
    text('tenant', 64),
    text('memory_id', 512),
    text('event_id', 512),
    { name: 'partition', data_type: DataType.Int64 },
    { name: 'offset', data_type: DataType.Int64 },
    { name: 'turn', data_type: DataType.Bool },
    text('text', 65_535),
    { name: 'metadata', data_type: DataType.JSON },
    {
      name: 'tags',
      data_type: DataType.Array,
      element_type: DataType.VarChar,
      max_capacity: TAGS_MAX,
      max_length: TAG_BYTES_MAX,
    },
    { name: 'vector', data_type: DataType.FloatVector, dim: dimensions },
  ];
}

/** How far each partition's vectors are stored for certain, in each collection. */
export function positionFields(): FieldType[] {
  return [
    { name: 'id', data_type: DataType.VarChar, max_length: 256, is_primary_key: true },
    { name: 'collection', data_type: DataType.VarChar, max_length: 255 },
    { name: 'partition', data_type: DataType.Int64 },
    { name: 'offset', data_type: DataType.Int64 },
    { name: 'writer', data_type: DataType.VarChar, max_length: 256 },
    // Every collection needs a vector.
    { name: 'unused', data_type: DataType.FloatVector, dim: 2 },
  ];
}

/** Product quantisation in parts of eight dimensions where that fits. */
export function pqParts(dimensions: number): number {
  const size = [8, 4, 2].find((part) => dimensions % part === 0) ?? 1;
  return dimensions / size;
}

/** Milvus 2.3 calls its index of texts Trie and has none of arrays; from 2.4 on it is INVERTED. */
export function scalarIndexes(version: string): { field: string; type: string }[] {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const isOld = major < 2 || (major === 2 && minor < 4);
  const type = isOld ? 'Trie' : 'INVERTED';
  const fields = isOld ? ['tenant', 'entity_key'] : ['tenant', 'entity_key', 'tags'];
  return fields.map((field) => ({ field, type }));
}

/** A row's key: its place in the log in one number. Partitions < 8,192, offsets < 2⁴⁰. */
export function positionKey(partition: number, offset: number): number {
  return partition * 2 ** 40 + offset;
}
