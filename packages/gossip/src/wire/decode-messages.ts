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
import { ByteReader, Malformed } from './bytes.ts';
import { DIGEST_BYTES, type Message, STATUSES, TYPES } from './message.ts';

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
    case 'digest':
      return { type, digest: reader.bytes(DIGEST_BYTES), user: reader.sized(reader.left) };
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
