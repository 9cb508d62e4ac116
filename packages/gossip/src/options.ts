import { MemplaneError } from '@memplane/contracts';
import type { MemberRecord } from './core/member-table.ts';
import type { GossipHooks } from './events.ts';
import { ADDRESS_BYTES_MAX, ID_BYTES_MAX, META_BYTES_MAX, type ProtocolRange } from './member.ts';
import type { Random, Timers, Transport } from './ports.ts';
import type { KeyRing } from './security/key-ring.ts';
import type { GossipSettings } from './settings.ts';

/** The versions that this code speaks: 1, and 2, in which lists are compared by digests. */
export const PROTOCOL: ProtocolRange = { min: 1, max: 2 };
const PROTOCOL_VERSION_MAX = 255;

export interface GossipOptions {
  /** Unique in the cluster, 1 to 128 bytes of UTF-8. */
  readonly id: string;
  /** Members of clusters with other names are not heard. */
  readonly cluster: string;
  /**
   * Higher at each start of this id, e.g. milliseconds since 1970, raised above the last one where
   * the clock was set back: others take a lower one for a replay and don't hear the member.
   */
  readonly startEpoch: number;
  /** Opaque data that is gossiped with the member, at most 512 bytes. */
  readonly meta?: Uint8Array;
  /** The versions of the protocol that are spoken; those of this code unless narrowed. */
  readonly protocol?: ProtocolRange;
  /** Without keys everything travels in the clear, and anyone can pretend to be anyone. */
  readonly keyRing?: KeyRing;
  /** Ids that are refused for good, at most `forgottenMax`. */
  readonly forgotten?: Iterable<string>;
  /** Asked as well, for a list that the caller keeps. Must be quick and must not throw. */
  readonly isForgotten?: (id: string) => boolean;
  readonly settings?: Partial<GossipSettings>;
  readonly timers: Timers;
  readonly random: Random;
  readonly transport: Transport;
  readonly hooks?: GossipHooks;
}

/**
 * This member's own record.
 * @throws MemplaneError `invalid_request`
 */
export function selfOf(options: GossipOptions): MemberRecord {
  const { id, cluster, startEpoch, transport, protocol = PROTOCOL } = options;
  const meta = checkedMeta(options.meta ?? new Uint8Array());
  if (!isText(id, ID_BYTES_MAX)) refuse('id', `must be 1 to ${ID_BYTES_MAX} bytes of UTF-8`);
  if (cluster === '') refuse('cluster', 'must not be empty');
  if (!Number.isSafeInteger(startEpoch) || startEpoch < 0) refuse('startEpoch', 'must be whole');
  if (!isText(transport.address, ADDRESS_BYTES_MAX)) refuse('transport.address', 'is not one');
  if (!(protocol.min >= 1 && protocol.max >= protocol.min)) refuse('protocol', 'is not a range');
  if (protocol.max > PROTOCOL_VERSION_MAX) refuse('protocol', 'ends above 255');
  const { address } = transport;
  const start = { incarnation: 1, status: 'alive', accuser: '', changedMs: 0 } as const;
  return { id, address, meta, protocol, ...start, suspicion: undefined };
}

/** @throws MemplaneError `invalid_request` */
export function checkedMeta(meta: Uint8Array): Uint8Array {
  if (meta.length > META_BYTES_MAX) refuse('meta', `must be at most ${META_BYTES_MAX} bytes`);
  return new Uint8Array(meta);
}

/** @throws MemplaneError `invalid_request` */
export function forgottenOf(options: GossipOptions, forgottenMax: number): Set<string> {
  const forgotten = new Set(options.forgotten);
  if (forgotten.size > forgottenMax) refuse('forgotten', `has more than ${forgottenMax} ids`);
  return forgotten;
}

function isText(text: string, bytesMax: number): boolean {
  return text !== '' && text.isWellFormed() && Buffer.byteLength(text) <= bytesMax;
}

function refuse(field: string, what: string): never {
  throw new MemplaneError('invalid_request', `${field} ${what}`, { field });
}
