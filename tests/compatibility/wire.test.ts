import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import * as codec from '../../packages/crdt/src/codec.ts';
import { decodeKeyed, keyedDigest } from '../../packages/crdt/src/keyed.ts';
import { decodeMap, mapDigest } from '../../packages/crdt/src/or-map-codec.ts';
import { decodeFlag, flagDigest } from '../../packages/crdt/src/quorum-flag-codec.ts';
import { decodeReplicaDelta } from '../../packages/crdt/src/replica-delta-codec.ts';
import { decodeMessage } from '../../packages/crdt/src/replication/messages.ts';
import * as strict from '../../packages/crdt/src/strict-codec.ts';
import { KeyRing } from '../../packages/gossip/src/index.ts';
import { Sealer } from '../../packages/gossip/src/security/sealer.ts';
import { ByteReader } from '../../packages/gossip/src/wire/bytes.ts';
import { decodeMessages } from '../../packages/gossip/src/wire/decode-messages.ts';
import { decodeHeader } from '../../packages/gossip/src/wire/header.ts';
import { decodeHeartbeat } from '../../services/crdt-sync/src/domain/heartbeats/heartbeat.ts';

// What replicas of the recorded commit say to each other, read by this code: they run side by side
// while a plane is upgraded.
const said = JSON.parse(readFileSync(path.join(import.meta.dirname, 'released/wire.json'), 'utf8'));
const bytesOf = (hex: string) => Buffer.from(hex, 'hex');
/** Bytes as JSON has them, whichever class holds them. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_name, part) =>
      part instanceof Uint8Array ? Buffer.from(part).toJSON() : part,
    ),
  );

describe('what replicas of the version before say', () => {
  const open = (sealed: Buffer) => {
    const random = { next: () => 0.5, bytes: (length: number) => Buffer.alloc(length, 5) };
    return new Sealer('memplane', new KeyRing([bytesOf(said.key)]), random).open(sealed);
  };

  test('a packet of gossip is opened and means the same', () => {
    const opened = open(bytesOf(said.sealed));
    assert.ok(opened.ok);
    const reader = new ByteReader(opened.bytes);
    assert.deepEqual(decodeHeader(reader), said.header);
    assert.deepEqual(plain(decodeMessages(reader, 100)), said.messages);
    const damaged = bytesOf(said.sealed);
    damaged.writeUInt8(damaged.readUInt8(20) ^ 1, 20);
    assert.deepEqual(open(damaged), { ok: false, reason: 'unauthentic' });
  });

  test('a heartbeat means the same', () => {
    const { meaning, bytes } = said.heartbeat;
    assert.deepEqual(decodeHeartbeat(bytesOf(bytes)), meaning);
  });

  test('states have the digests that they had', () => {
    const { crdt } = said;
    const digests = {
      counterDigest: codec.counterDigest(strict.decodeCounterStrictly(bytesOf(crdt.counter))),
      setDigest: codec.setDigest(strict.decodeSetStrictly(bytesOf(crdt.set))),
      registerDigest: codec.registerDigest(strict.decodeRegisterStrictly(bytesOf(crdt.register))),
      mapDigest: mapDigest(decodeMap(bytesOf(crdt.map))),
      flagDigest: flagDigest(decodeFlag(bytesOf(crdt.flag))),
      keyedDigest: keyedDigest(decodeKeyed(bytesOf(crdt.keyed))),
    };
    for (const [name, digest] of Object.entries(digests)) {
      assert.equal(codec.formatDigest(digest), crdt[name], name);
    }
  });

  test('vectors and deltas are read, or refused as a whole', () => {
    const { crdt } = said;
    for (const kind of ['vector', 'deltas', 'behind']) {
      assert.equal(decodeMessage(bytesOf(crdt[kind])).kind, kind);
    }
    const deltas = decodeMessage(bytesOf(crdt.deltas));
    assert.ok(deltas.kind === 'deltas');
    assert.equal(codec.formatDigest(keyedDigest(decodeKeyed(deltas.delta))), crdt.keyedDigest);
    // Of operation ids that did not say where they were counted: refused, not misread, and the two
    // compare states instead (docs/adr/0020).
    assert.throws(() => decodeReplicaDelta(bytesOf(crdt.replicaDelta)), {
      code: 'storage_damaged',
    });
  });
});
