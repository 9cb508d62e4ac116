import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError } from '@memplane/runtime';
import { readCrdtSyncConfig } from './config.ts';

const key = Buffer.alloc(32, 7).toString('base64');
const other = Buffer.alloc(32, 8).toString('base64');
const on = { MEMPLANE_GOSSIP_JOIN: 'a:7946, [::1]:7946,a:7946', MEMPLANE_REPLICA_ID: 'a' };

test('a replica is alone by default, and the only one of its set', () => {
  const { gossip, replicaSet } = readCrdtSyncConfig({});
  assert.deepEqual([gossip, replicaSet], [undefined, ['replica-0']]);
});

test('gossip is on where it is said whom to join, and takes what it is not told from elsewhere', () => {
  assert.deepEqual(readCrdtSyncConfig(on).gossip, {
    join: ['a:7946', '[::1]:7946'],
    host: '127.0.0.1',
    port: 7_946,
    advertise: undefined,
    keys: [],
  });
  const { gossip, replicaSet } = readCrdtSyncConfig({
    ...on,
    MEMPLANE_HOST: '0.0.0.0',
    MEMPLANE_GOSSIP_ADVERTISE: '10.0.0.1:17946',
    MEMPLANE_GOSSIP_KEYS: `${key}, ${other}`,
    MEMPLANE_REPLICA_SET: 'a,b,c,b',
  });
  assert.deepEqual(replicaSet, ['a', 'b', 'c']);
  assert.deepEqual(gossip?.advertise, { host: '10.0.0.1', port: 17_946 });
  assert.deepEqual(
    gossip.keys.map((each) => each[0]),
    [7, 8],
  );
});

test('what would go wrong is refused at the start, in words that show no key', () => {
  const short = Buffer.alloc(16, 7).toString('base64');
  const everywhere = { ...on, MEMPLANE_GOSSIP_HOST: '0.0.0.0', MEMPLANE_GOSSIP_ADVERTISE: 'x:1' };
  const cases: readonly (readonly [RegExp, Record<string, string>])[] = [
    [/MEMPLANE_REPLICA_ID/, { MEMPLANE_GOSSIP_JOIN: 'a:1' }],
    [/MEMPLANE_REPLICA_ID=a b must match/, { ...on, MEMPLANE_REPLICA_ID: 'a b' }],
    [/not host:port/, { ...on, MEMPLANE_GOSSIP_JOIN: 'a' }],
    [/at least one/, { ...on, MEMPLANE_GOSSIP_JOIN: ' , ' }],
    [/Gossip on 10.0.0.1 would let.*openssl rand/, { ...on, MEMPLANE_GOSSIP_HOST: '10.0.0.1' }],
    [/would let other machines in/, everywhere],
    [/MEMPLANE_GOSSIP_ADVERTISE/, { ...on, MEMPLANE_HOST: '::', MEMPLANE_GOSSIP_KEYS: key }],
    [/base64 of 32 bytes/, { ...everywhere, MEMPLANE_GOSSIP_KEYS: `${key},${short}` }],
    [/base64 of 32 bytes/, { ...everywhere, MEMPLANE_GOSSIP_KEYS: `${key.slice(0, -1)}!` }],
    [/must name this replica/, { ...on, MEMPLANE_REPLICA_SET: 'b,c' }],
    [/must match/, { ...on, MEMPLANE_REPLICA_SET: 'a,b/c' }],
    [/MEMPLANE_HEARTBEATS_MISSED_MAX/, { ...on, MEMPLANE_HEARTBEATS_MISSED_MAX: '1' }],
  ];
  for (const [words, env] of cases) {
    assert.throws(
      () => readCrdtSyncConfig(env),
      (error) => {
        assert.ok(error instanceof ConfigError, String(error));
        assert.match(error.message, words);
        assert.ok(!error.message.includes(key.slice(0, 8)), error.message);
        return true;
      },
    );
  }
});
