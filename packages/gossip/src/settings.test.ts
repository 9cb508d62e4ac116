import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Gossip } from './gossip.ts';
import { gossipSettings, LAN_SETTINGS } from './settings.ts';
import { SimulatedCluster } from './testing/simulated-cluster.ts';

test('the defaults are valid, and changes to them are judged', () => {
  assert.deepEqual(gossipSettings(), LAN_SETTINGS);
  assert.equal(gossipSettings({ suspicionMult: 4.5 }).suspicionMult, 4.5);
  const wrong = {
    probeIntervalMs: 0,
    gossipNodes: 1.5,
    suspicionMult: Number.NaN,
    probeTimeoutMs: 1_000,
    replayWindowPackets: 100,
    packetBytesMax: 70_000,
    streamBytesMax: 65_536,
    probeByStream: 1 as unknown as boolean,
  };
  for (const [field, value] of Object.entries(wrong)) {
    assert.throws(() => gossipSettings({ [field]: value }), { code: 'invalid_request', field });
  }
});

test('options that can not be right are refused', () => {
  const cluster = new SimulatedCluster(1);
  const { host } = cluster.start('a');
  const ports = { timers: host, transport: host, random: cluster.start('b').gossip } as never;
  const good = { id: 'a', cluster: 'c', startEpoch: 1 };
  const wrong = {
    id: 'x'.repeat(129),
    cluster: '',
    startEpoch: -1,
    meta: new Uint8Array(513),
    protocol: { min: 2, max: 1 },
    forgotten: Array.from({ length: 1_025 }, (_, i) => `${i}`),
  };
  for (const [field, value] of Object.entries(wrong)) {
    assert.throws(() => new Gossip({ ...good, [field]: value, ...(ports as object) } as never), {
      code: 'invalid_request',
      field,
    });
  }
});

test('a member that has stopped does nothing more', async () => {
  const cluster = new SimulatedCluster(1);
  const [a, b] = cluster.grow(2);
  a!.gossip.stop();
  const { packetsSent } = a!.gossip.metrics;
  cluster.time.run(10_000);
  assert.equal(a!.gossip.metrics.packetsSent, packetsSent);
  await assert.rejects(a!.gossip.join([b!.host.address]), { code: 'shutting_down' });
  assert.throws(() => a!.gossip.start(), { code: 'shutting_down' });
});
