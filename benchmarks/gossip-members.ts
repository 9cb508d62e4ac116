/**
 * What a member of a quiet cluster sends, with 100 members and with 1,000: the shipped code on a
 * simulated network, whose bytes are counted over simulated minutes. The same for every run of a
 * seed, whatever the machine does beside it.
 *
 *     node benchmarks/gossip-members.ts [few] [many]
 */
import { SimulatedCluster } from '../packages/gossip/src/testing/simulated-cluster.ts';
import { summarize } from './lib/rounds.ts';
import { atMost, emitRow, SHORT } from './lib/row.ts';

const FEW = Number(process.argv[2] ?? (SHORT ? 20 : 100));
const MANY = Number(process.argv[3] ?? (SHORT ? 60 : 1_000));
const SEED = 20_261_127;
const JOIN_MS = 20;
/** News of joins are sent on until then. */
const SETTLE_MS = 30_000;
/** Some of the longest intervals: that of exchanges, with 1,000 members, is three minutes. */
const MEASURED_MS = SHORT ? 60_000 : 360_000;

interface Sent {
  readonly members: number;
  /** Bytes per member and second. */
  readonly datagrams: number;
  readonly streams: number;
}

function measure(members: number): Sent {
  const cluster = new SimulatedCluster(SEED);
  const { time, network } = cluster;
  const first = cluster.start('m0');
  for (let i = 1; i < members; i++) {
    cluster.join(cluster.start(`m${i}`), first);
    time.run(JOIN_MS);
  }
  time.run(SETTLE_MS);
  if (!cluster.agrees(members)) throw new Error(`${members} members do not know each other yet`);
  const before = { ...network.sentBytes };
  time.run(MEASURED_MS);
  if (!cluster.agrees(members)) throw new Error('somebody was held for dead');
  const per = (bytes: number) => bytes / members / (MEASURED_MS / 1_000);
  return {
    members,
    datagrams: per(network.sentBytes.datagrams - before.datagrams),
    streams: per(network.sentBytes.streams - before.streams),
  };
}

const measured = [FEW, MANY].map(measure);
console.table(
  measured.map(({ members, datagrams, streams }) => ({
    members,
    'probes and news, B/s': Math.round(datagrams),
    'lists, B/s': Math.round(streams),
    'all, B/s': Math.round(datagrams + streams),
  })),
);
const [few = 0, many = 0] = measured.map(({ datagrams, streams }) => datagrams + streams);
emitRow(`bytes of a member per second, ${MANY} members`, atMost(1.2), summarize('', [many / few]), {
  against: `${FEW} members`,
  seeds: `gossip ${SEED}`,
  note: `${Math.round(many)} B/s and ${Math.round(few)} B/s, on a simulated network`,
});
