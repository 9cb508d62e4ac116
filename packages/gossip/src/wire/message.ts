import type {
  Accusation,
  AliveClaim,
  MemberState,
  MemberStatus,
  ProtocolRange,
} from '../member.ts';
import { ByteWriter } from './bytes.ts';

/** What members say to one another. Packets and streams carry any number of them in a row. */
export type Message =
  | { readonly type: 'ping'; readonly probe: number }
  | {
      readonly type: 'ping-req';
      readonly probe: number;
      readonly target: string;
      readonly address: string;
      /** Whether the asker wants to hear of a failure too, which tells it about its own health. */
      readonly nack: boolean;
    }
  | { readonly type: 'ack'; readonly probe: number }
  | { readonly type: 'nack'; readonly probe: number }
  | { readonly type: 'alive'; readonly claim: AliveClaim }
  | { readonly type: 'accused'; readonly claim: Accusation }
  | { readonly type: 'user'; readonly payload: Uint8Array }
  | {
      readonly type: 'state';
      readonly join: boolean;
      readonly members: readonly MemberState[];
      readonly user: Uint8Array;
    }
  /** The list as a digest, since version 2; an answer has the digest of the other side's list. */
  | { readonly type: 'digest'; readonly digest: Uint8Array; readonly user: Uint8Array }
  /** The answer to a request in a version that the other does not speak. Frozen in all versions. */
  | { readonly type: 'refused'; readonly protocol: ProtocolRange }
  /** The answer to a request of a member that was forgotten. Frozen in all versions. */
  | { readonly type: 'forgotten' }
  | { readonly type: 'unknown' };

/** The types in the order of their bytes, which begin at 1. */
export const TYPES = [
  'ping',
  'ping-req',
  'ack',
  'nack',
  'alive',
  'accused',
  'user',
  'state',
  'refused',
  'forgotten',
  'digest',
] as const;
/** How long the digest of a list is. */
export const DIGEST_BYTES = 16;
/** The statuses in the order of their bytes, which begin at 0. */
export const STATUSES: readonly MemberStatus[] = ['alive', 'suspect', 'dead', 'left'];

/** What a user message costs besides its payload: its type and the longest length in a packet. */
export const USER_OVERHEAD_BYTES = 4;

/** A message with its type and length in front, so that who does not know it can pass over it. */
export function encodeMessage(message: Message): Uint8Array {
  if (message.type === 'unknown') throw new RangeError('unknown messages are only read');
  const body = encodeBody(message);
  return new ByteWriter(body.length + 10)
    .byte(TYPES.indexOf(message.type) + 1)
    .sized(body)
    .done();
}

function encodeBody(message: Exclude<Message, { type: 'unknown' }>): Uint8Array {
  const writer = new ByteWriter();
  switch (message.type) {
    case 'ping':
    case 'ack':
    case 'nack':
      return writer.number(message.probe).done();
    case 'ping-req':
      writer.number(message.probe).text(message.target).text(message.address);
      return writer.byte(message.nack ? 1 : 0).done();
    case 'alive':
      writeClaim(writer, message.claim);
      return writer.done();
    case 'accused': {
      const { status, id, incarnation, accuser } = message.claim;
      writer.byte(STATUSES.indexOf(status)).text(id).number(incarnation);
      return writer.text(accuser).done();
    }
    case 'user':
      return message.payload;
    case 'state':
      writer.byte(message.join ? 1 : 0).number(message.members.length);
      for (const member of message.members) {
        writer.byte(STATUSES.indexOf(member.status)).text(member.accuser);
        writeClaim(writer, member);
      }
      return writer.sized(message.user).done();
    case 'digest':
      return writer.bytes(message.digest).sized(message.user).done();
    case 'refused':
      return writer.byte(message.protocol.min).byte(message.protocol.max).done();
    case 'forgotten':
      return writer.done();
  }
}

export function writeClaim(writer: ByteWriter, claim: AliveClaim): void {
  writer.text(claim.id).text(claim.address).number(claim.incarnation).sized(claim.meta);
  writer.byte(claim.protocol.min).byte(claim.protocol.max);
}
