import { Sealer } from '../security/sealer.ts';
import { encodeHeader, type Header } from '../wire/header.ts';
import { encodeMessage, type Message } from '../wire/message.ts';

/** A packet as a member `x` of a cluster without keys would send it, but for what is changed. */
export function forge(
  cluster: string,
  header: Partial<Header> & { readonly sequence: number },
  messages: readonly Message[],
  tail: Uint8Array = new Uint8Array(),
): Uint8Array {
  const random = { next: () => 0, bytes: (length: number) => new Uint8Array(length) };
  const head = encodeHeader({ version: 1, sender: 'x', to: '', epoch: 1, ...header });
  const body = Buffer.concat([head, ...messages.map(encodeMessage), tail]);
  return new Sealer(cluster, undefined, random).seal(body);
}
