import { ID_BYTES_MAX } from '../member.ts';
import { type ByteReader, ByteWriter, Malformed } from './bytes.ts';

/** What precedes the messages of a packet or a stream. With keys set it is encrypted with them. */
export interface Header {
  /** The version of the protocol that the messages are in. */
  readonly version: number;
  readonly sender: string;
  /** Whom it is for; empty while the sender knows only an address. */
  readonly to: string;
  /** When the sender started: higher at each start. */
  readonly epoch: number;
  /** Counts what the sender has sent since, packets and streams to whomever. */
  readonly sequence: number;
}

export function encodeHeader(header: Header): Uint8Array {
  return new ByteWriter(64)
    .byte(header.version)
    .text(header.sender)
    .text(header.to)
    .number(header.epoch)
    .number(header.sequence)
    .done();
}

/** @throws Malformed */
export function decodeHeader(reader: ByteReader): Header {
  const version = reader.byte();
  const sender = reader.text(ID_BYTES_MAX);
  if (sender === '') throw new Malformed('no sender');
  const to = reader.text(ID_BYTES_MAX);
  return { version, sender, to, epoch: reader.number(), sequence: reader.number() };
}
