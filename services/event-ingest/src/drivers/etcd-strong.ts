import { randomUUID } from 'node:crypto';
import type { StrongRecord } from '@memplane/runtime/strong';
import { storedOf } from '@memplane/runtime/strong';
import type { Etcd } from './etcd.ts';

/** `keyPrefixPath` of the component, and the application whose keys they are. */
const PREFIX = 'memplane/event-ingest||';

/** The keys of the strong store that begin with a prefix, in order: the component can not list. */
export async function* strongKeys(etcd: Etcd, prefix = ''): AsyncGenerator<string> {
  for await (const key of etcd.keys(PREFIX + prefix)) yield key.slice(PREFIX.length);
}

/**
 * Writes a record past the sidecar, as the component would have: for a plane that does not run yet.
 * @returns whether it was written: false where the key is there already
 * @throws MemplaneError `dependency_unavailable`
 */
export function createStrong(etcd: Etcd, { key, value }: StrongRecord): Promise<boolean> {
  return etcd.create(PREFIX + key, envelope(JSON.stringify(storedOf(value, randomUUID()))));
}

const DATA_FIELD = 0x0a;

/**
 * The component's schema `v2`: a message of Protocol Buffers whose first field has the bytes
 * (dapr/components-contrib, common/proto/state/etcd/v2/value.proto); without a time to live it needs
 * no more.
 */
function envelope(json: string): Buffer {
  const data = Buffer.from(json);
  return Buffer.concat([Buffer.from([DATA_FIELD, ...varint(data.length)]), data]);
}

function varint(value: number): number[] {
  const low = value % 128;
  return value < 128 ? [low] : [low + 128, ...varint((value - low) / 128)];
}
