import {
  type Accusation,
  ADDRESS_BYTES_MAX,
  type AliveClaim,
  ID_BYTES_MAX,
  INCARNATION_MAX,
  META_BYTES_MAX,
  type MemberState,
  type MemberStatus,
  type ProtocolRange,
} from '../member.ts';
import { ByteReader, ByteWriter, Malformed } from './bytes.ts';

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
  /** The answer to a request in a version that the other does not speak. Frozen in all versions. */
  | { readonly type: 'refused'; readonly protocol: ProtocolRange }
  /** The answer to a request of a member that was forgotten. Frozen in all versions. */
  | { readonly type: 'forgotten' }
  | { readonly type: 'unknown' };

const TYPES = [
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
] as const;
const STATUSES: readonly MemberStatus[] = ['alive', 'suspect', 'dead', 'left'];

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

/**
 * Reads all messages there are. What follows the known fields of one is a later version's and is
 * passed over.
 * @throws Malformed
 */
export function decodeMessages(reader: ByteReader, membersMax: number): Message[] {
  const messages: Message[] = [];
  while (reader.left > 0) {
    const type = TYPES[reader.byte() - 1];
    const body = reader.sized(reader.left);
    messages.push(
      type === undefined
        ? { type: 'unknown' }
        : decodeBody(type, new ByteReader(body), body, membersMax),
    );
  }
  return messages;
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
    case 'refused':
      return writer.byte(message.protocol.min).byte(message.protocol.max).done();
    case 'forgotten':
      return writer.done();
  }
}

function decodeBody(
  type: (typeof TYPES)[number],
  reader: ByteReader,
  body: Uint8Array,
  membersMax: number,
): Message {
  switch (type) {
    case 'ping':
    case 'ack':
    case 'nack':
      return { type, probe: reader.number() };
    case 'ping-req':
      return {
        type,
        probe: reader.number(),
        target: readId(reader),
        address: readAddress(reader),
        nack: readFlag(reader),
      };
    case 'alive':
      return { type, claim: readClaim(reader) };
    case 'accused':
      return { type, claim: readAccusation(reader) };
    case 'user':
      return { type, payload: body };
    case 'state':
      return readState(reader, membersMax);
    case 'refused':
      return { type, protocol: readRange(reader) };
    case 'forgotten':
      return { type };
  }
}

function readAccusation(reader: ByteReader): Accusation {
  const status = readStatus(reader);
  if (status === 'alive') throw new Malformed('no accusation');
  return {
    status,
    id: readId(reader),
    incarnation: reader.number(INCARNATION_MAX),
    accuser: readId(reader),
  };
}

function readState(reader: ByteReader, membersMax: number): Message {
  const join = readFlag(reader);
  const count = reader.number(membersMax);
  const members: MemberState[] = [];
  for (let i = 0; i < count; i++) {
    const status = readStatus(reader);
    const accuser = reader.text(ID_BYTES_MAX);
    members.push({ status, accuser, ...readClaim(reader) });
  }
  return { type: 'state', join, members, user: reader.sized(reader.left) };
}

function writeClaim(writer: ByteWriter, claim: AliveClaim): void {
  writer.text(claim.id).text(claim.address).number(claim.incarnation).sized(claim.meta);
  writer.byte(claim.protocol.min).byte(claim.protocol.max);
}

function readClaim(reader: ByteReader): AliveClaim {
  return {
    id: readId(reader),
    address: readAddress(reader),
    incarnation: reader.number(INCARNATION_MAX),
    // A copy: the view would hold the whole packet for as long as the member is known.
    meta: new Uint8Array(reader.sized(META_BYTES_MAX)),
    protocol: readRange(reader),
  };
}

function readId(reader: ByteReader): string {
  const id = reader.text(ID_BYTES_MAX);
  if (id === '') throw new Malformed('no id');
  return id;
}

function readAddress(reader: ByteReader): string {
  const address = reader.text(ADDRESS_BYTES_MAX);
  if (address === '') throw new Malformed('no address');
  return address;
}

function readRange(reader: ByteReader): ProtocolRange {
  const min = reader.byte();
  const max = reader.byte();
  if (min < 1 || max < min) throw new Malformed('not a range');
  return { min, max };
}

function readStatus(reader: ByteReader): MemberStatus {
  const status = STATUSES[reader.byte()];
  if (status === undefined) throw new Malformed('no status');
  return status;
}

function readFlag(reader: ByteReader): boolean {
  const flag = reader.byte();
  if (flag > 1) throw new Malformed('no flag');
  return flag === 1;
}
