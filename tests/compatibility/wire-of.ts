// Run in the tree of a version: prints what it says to other replicas, in hex by name. The paths are
// of that tree, which `make.ts` copies this file into.
import * as crdt from '../../packages/crdt/src/test-vectors.ts';
import { KeyRing } from '../../packages/gossip/src/index.ts';
import { Sealer } from '../../packages/gossip/src/security/sealer.ts';
import { encodeHeader } from '../../packages/gossip/src/wire/header.ts';
import { encodeMessage, type Message } from '../../packages/gossip/src/wire/message.ts';
import { encodeHeartbeat } from '../../services/crdt-sync/src/domain/heartbeats/heartbeat.ts';

const key = Buffer.alloc(32, 7);
const protocol = { min: 1, max: 1 };
const claim = {
  id: 'a',
  address: '10.0.0.1:7946',
  incarnation: 3,
  meta: Buffer.from('m'),
  protocol,
};
const messages: Message[] = [
  { type: 'ping', probe: 9 },
  { type: 'ping-req', probe: 9, target: 'b', address: '10.0.0.2:7946', nack: true },
  { type: 'ack', probe: 9 },
  { type: 'nack', probe: 9 },
  { type: 'alive', claim },
  { type: 'accused', claim: { status: 'suspect', id: 'b', incarnation: 4, accuser: 'a' } },
  { type: 'user', payload: Buffer.from('anything') },
  {
    type: 'state',
    join: true,
    members: [{ ...claim, status: 'dead', accuser: 'c' }],
    user: Buffer.from('u'),
  },
  { type: 'refused', protocol },
  { type: 'forgotten' },
];
const header = { version: 1, sender: 'a', to: 'b', epoch: 2, sequence: 70_000 };
const packet = Buffer.concat([encodeHeader(header), ...messages.map(encodeMessage)]);
const random = { next: () => 0.5, bytes: (length: number) => Buffer.alloc(length, 5) };
const sealer = new Sealer('memplane', new KeyRing([key]), random);
const heartbeat = {
  ...{ epoch: 2, sequence: 70_000, viewVersion: 4, incarnation: '0a'.repeat(16) },
  ...{ hears: ['b'], misses: ['c'], leaving: false },
};
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
console.log(
  JSON.stringify({
    key: hex(key),
    header,
    messages,
    sealed: hex(sealer.seal(packet)),
    heartbeat: { meaning: heartbeat, bytes: hex(encodeHeartbeat(heartbeat)) },
    crdt: crdt.makeVectors(),
  }),
);
