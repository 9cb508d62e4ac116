import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  figure,
  readAppliedEnds,
  readLog,
  ScratchFolder,
  scaled,
  sendAlways,
  testSeed,
} from '@memplane/testkit';
import { FaultChecks, type Seen } from '../stack/fault-checks.ts';
import { Cluster } from './cluster.ts';
import { type Operation, UpgradeLoad } from './load.ts';
import { ShardWatch } from './shard-watch.ts';
import { NOW, type Version, versionBefore } from './versions.ts';
import { COMPONENTS, Workload } from './workload.ts';

// The plane of the version before, as its chart renders it, is replaced pod by pod under load.
const PEAK_MS = 10_000;
const SETTLE_MS = 10_000;
/** Longer than in which nothing may be away even where a machine has much else to do. */
const AWAY_MS_MAX = 10_000;
const OPERATIONS: readonly Operation[] = ['append', 'read', 'count'];
const windowMs = scaled('upgrade_window_ms', { ci: 20_000, soak: 60_000 });

const scratch = new ScratchFolder('upgrade');
let versions: { readonly before: Version; readonly now: Version };
let cluster: Cluster;
let workloads: Workload[] = [];
let load: UpgradeLoad;
let plane: { readonly materializer: string; readonly crdt: string; readonly vectors: string };

before(async () => {
  versions = { before: await versionBefore(), now: NOW };
  cluster = await Cluster.start(scratch.path, versions.before);
  const { endpoint, apiToken } = cluster.agent;
  sendAlways(endpoint, { 'dapr-api-token': apiToken });
  const url = (service: string) => `${endpoint}/v1.0/invoke/${service}/method`;
  plane = {
    materializer: url('materializer'),
    crdt: url('crdt-sync'),
    vectors: url('vector-index'),
  };
  workloads = COMPONENTS.map((component) => new Workload(cluster, component));
  const starts = workloads.map((workload) => workload.start(versions.before));
  const failed = (await Promise.allSettled(starts)).find((one) => one.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
});

after(async () => {
  await load?.stop();
  await Promise.all(workloads.map((workload) => workload.kill()));
  await cluster?.[Symbol.asyncDispose]();
  scratch[Symbol.dispose]();
});

test('every pod is replaced by one of this version, under load', async () => {
  load = new UpgradeLoad(cluster.agent, testSeed('upgrade'));
  const peak = await load.peak(PEAK_MS);
  figure('calls a second at the peak', Math.round(peak));
  load.start(peak / 2);
  // What the peak has left behind is no part of a quiet time.
  await sleep(SETTLE_MS);
  const watch = new ShardWatch(plane.materializer, entityOfEachShard());
  const quiet = { when: 'before', ...(await spanOf(() => sleep(windowMs))) };
  const spans = [quiet];
  tellShards('before', watch);
  try {
    for (const workload of workloads) {
      const when = `while ${workload.component} is replaced`;
      spans.push({ when, ...(await spanOf(() => roll(workload, versions.now))) });
      const longest = tellShards(when, watch);
      assert.ok(longest < AWAY_MS_MAX, `a shard was away for ${longest} ms`);
    }
    spans.push({ when: 'after', ...(await spanOf(() => sleep(windowMs / 2))) });
  } finally {
    await watch.stop();
    await load.stop();
  }
  // Only now is the last call of each span answered.
  for (const { when, ...span } of spans) report(when, span, quiet);
  assert.deepEqual(load.errors, []);
});

test('nothing is lost or doubled: log, views, index and counters agree', async () => {
  const seen: Seen = { hlc: '', ends: new Map() };
  const records = await readLog(plane.materializer, await readAppliedEnds(plane.materializer));
  const checks = new FaultChecks(plane, load);
  assert.deepEqual((await checks.check(records, seen)).slice(0, 10), []);
  figure('events in the log', records.length);
  figure('acknowledged events', load.appends.ledger.acknowledged.size);
  figure('acknowledged increments', load.increments.acknowledged);
  assert.ok(load.appends.ledger.acknowledged.size > 0 && load.increments.acknowledged > 0);
});

interface Span {
  readonly from: number;
  readonly to: number;
}

async function spanOf(work: () => Promise<unknown>): Promise<Span> {
  const from = performance.now();
  await work();
  return { from, to: performance.now() };
}

async function roll(workload: Workload, version: Version): Promise<void> {
  const ends = await workload.roll(version);
  for (const { code, afterMs, graceMs } of ends) {
    assert.equal(code, 0, `a pod of ${workload.component} has ended with ${code}`);
    assert.ok(afterMs < graceMs, `${workload.component}: ${afterMs} of ${graceMs} ms`);
  }
  const longest = Math.max(...ends.map(({ afterMs }) => afterMs));
  figure(`a pod of ${workload.component} ended within`, Math.round(longest), 'ms');
  for (const pod of workload.pods) assert.equal(pod.version, version);
}

function report(when: string, { from, to }: Span, quiet: Span): void {
  for (const operation of OPERATIONS) {
    const p99 = load.quantile(operation, from, to, 0.99);
    const ratio = (p99 / load.quantile(operation, quiet.from, quiet.to, 0.99)).toFixed(1);
    const p50 = Math.round(load.quantile(operation, from, to, 0.5));
    figure(`${operation} ${when}`, `${p50} / ${Math.round(p99)}`, `ms (p50 / p99, ${ratio} ×)`);
  }
  const rate = (load.countOf(from, to) * 1_000) / (to - from);
  figure(`calls a second ${when}`, Math.round(rate));
}

/** @returns the longest time that a shard was away */
function tellShards(when: string, watch: ShardWatch): number {
  const longest = Math.max(...watch.take().values());
  figure(`longest wait for a shard ${when}`, Math.round(longest), 'ms');
  return longest;
}

function entityOfEachShard(): Map<number, string> {
  const acks = [...load.appends.ledger.acknowledged.values()].flat();
  return new Map(acks.map(({ entity, partition }) => [partition, entity]));
}
