/**
 * A backlog applied by two instances of the materializer against one. Both sides begin with shards
 * that they own and have open, and stand still (SIGSTOP, for less than their group takes to miss them)
 * while the backlog is written; the time counts from their going on until all of it is applied.
 * Each run has a topic, a group and folders of its own. The instances of vector-index, which would
 * follow, are ended before. CPU time of instances, Kafka and the rest tells what limited it.
 *
 *     node benchmarks/two-materializers.ts [events per run] [rounds]
 */
import { rmSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { isAlive, ServerProcess } from '@memplane/stack';
import { eventually, expectStatus } from '@memplane/testkit';
import type { StackPlane } from '../tests/stack/stack-plane.ts';
import { fillKafkaLog } from './lib/kafka-log.ts';
import { cpuMsOf } from './lib/plane.ts';
import { interleave, ratio } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';
import { type Direct, directTo, withStack } from './lib/stack.ts';

const [EVENTS = SHORT ? 20_000 : 150_000, ROUNDS = SHORT ? 1 : 5] = process.argv
  .slice(2)
  .map(Number);
const PARTITIONS = 12;
const ENTITIES = 20_000;
const WARM_EVENTS = 10_000;
/** A member of the group is missed after 10 s. */
const PAUSE_MS_MAX = 8_000;
const POLL_MS = 50;

interface Shards {
  readonly shards: readonly { owner: string; state: string; lag: number }[];
}

interface Cost {
  readonly instancesMs: number;
  readonly kafkaMs: number;
  readonly machineMs: number;
}

const costs = new Map<number, Cost[]>();
let runs = 0;

async function endServices(plane: StackPlane): Promise<void> {
  const ends = [1, 2].flatMap((n) => [`materializer-${n}`, `vector-index-${n}`]);
  const servers = ends.map((name) => plane.server(name));
  for (const { pid } of servers) process.kill(pid, 'SIGTERM');
  await eventually('materializers and indexes ended', 30_000, async () =>
    servers.some(isAlive) ? undefined : true,
  );
}

/** Instances with the settings of the stack's, but on a log of this run and with empty folders. */
async function startInstances(plane: StackPlane, count: number, topic: string) {
  const plans = plane.plans.instances.map(({ app }) => app);
  const wanted = plans.filter(({ service }) => service === 'materializer').slice(0, count);
  return Promise.all(
    wanted.map((plan) => {
      // Without S3 no run finds what the one before it has archived.
      const { MEMPLANE_S3_ENDPOINT: _, ...env } = plan.env;
      return ServerProcess.start({
        ...plan,
        env: {
          ...env,
          MEMPLANE_KAFKA_TOPIC: topic,
          MEMPLANE_MATERIALIZER_GROUP: topic,
          MEMPLANE_MATERIALIZER_DIR: join(plane.settings.dir, topic, plan.name),
        },
      });
    }),
  );
}

/** Waits until `owners` instances share all shards and have applied all. */
async function untilDone({ url }: Direct, owners: number): Promise<void> {
  await eventually(
    'all applied',
    300_000,
    async () => {
      const { shards } = await expectStatus<Shards>(200, 'GET', `${url}/v1/shards`);
      if (shards.length !== PARTITIONS || shards.some(({ lag }) => lag > 0)) return undefined;
      return new Set(shards.map(({ owner }) => owner)).size === owners ? true : undefined;
    },
    POLL_MS,
  );
}

/** Of all processes of this machine, as the kernel counts it. */
const machineMs = () =>
  cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);

async function run(plane: StackPlane, first: Direct, count: number): Promise<number> {
  const topic = `backlog-${runs++}`;
  const log = { entities: ENTITIES, partitions: PARTITIONS };
  const { brokers } = plane.plans.kafka;
  await fillKafkaLog(brokers, topic, { ...log, events: WARM_EVENTS });
  const instances = await startInstances(plane, count, topic);
  try {
    await untilDone(first, count);
    for (const one of instances) one.pause();
    const paused = performance.now();
    await fillKafkaLog(brokers, topic, { ...log, events: EVENTS, first: WARM_EVENTS });
    const pausedMs = performance.now() - paused;
    if (pausedMs > PAUSE_MS_MAX) throw new Error(`the backlog took ${pausedMs} ms: fewer events`);
    const used = async () => {
      const own = await Promise.all(instances.map(({ pid }) => cpuMsOf(pid)));
      const kafkaMs = await cpuMsOf(plane.server('kafka').pid);
      const instancesMs = own.reduce((sum, ms) => sum + ms, 0);
      return { instancesMs, kafkaMs, machineMs: machineMs() };
    };
    const before = await used();
    const started = performance.now();
    for (const one of instances) one.resume();
    await untilDone(first, count);
    const rate = (EVENTS / (performance.now() - started)) * 1000;
    tell(count, rate, before, await used());
    return rate;
  } finally {
    for (const one of instances) await one.stop();
    rmSync(join(plane.settings.dir, topic), { recursive: true, force: true });
  }
}

function tell(count: number, rate: number, before: Cost, after: Cost): void {
  const cost = {
    instancesMs: after.instancesMs - before.instancesMs,
    kafkaMs: after.kafkaMs - before.kafkaMs,
    machineMs: after.machineMs - before.machineMs,
  };
  costs.set(count, [...(costs.get(count) ?? []), cost]);
  const wallMs = (EVENTS / rate) * 1000;
  const cores = (ms: number) => (ms / wallMs).toFixed(2);
  console.log(
    `${count} instance(s): ${Math.round(rate)} events/s; cores busy: instances ` +
      `${cores(cost.instancesMs)}, Kafka ${cores(cost.kafkaMs)}, all of the machine ` +
      `${cores(cost.machineMs)} of ${availableParallelism()}`,
  );
}

/** How often as fast as `rate` two would be with all cores at work, at what an event costs with two. */
function ceiling(rate: number): number {
  const all = costs.get(2) ?? [];
  const cpuMs = all.reduce((sum, cost) => sum + cost.machineMs, 0) / all.length / EVENTS;
  return (availableParallelism() * 1_000) / cpuMs / rate;
}

/** CPU seconds of the instances and of Kafka for a million events, means over all runs. */
function cpuNote(count: number): string {
  const all = costs.get(count) ?? [];
  const mean = (of: (cost: Cost) => number) =>
    (all.reduce((sum, cost) => sum + of(cost), 0) / all.length / EVENTS) * 1000;
  const own = mean(({ instancesMs }) => instancesMs).toFixed(0);
  return `${count}: ${own} + Kafka ${mean(({ kafkaMs }) => kafkaMs).toFixed(0)}`;
}

await withStack('two', async (plane) => {
  const [first] = directTo(plane, 'materializer');
  if (first === undefined) throw new Error('the stack has no materializer');
  await endServices(plane);
  await setTimeout(1_000); // sidecars notice
  const [two, one] = await interleave(
    [
      { name: 'two instances', run: () => run(plane, first, 2) },
      { name: 'one instance', run: () => run(plane, first, 1) },
    ],
    ROUNDS,
  );
  if (two === undefined || one === undefined) return;
  const times = ratio('', two, one);
  const rates = `${Math.round(two.median)} against ${Math.round(one.median)} events/s`;
  const cpu = `CPU s per million events by instances: ${cpuNote(1)}, ${cpuNote(2)}`;
  const most = `no more than ${ceiling(one.median).toFixed(2)} × fits on ${availableParallelism()} cores`;
  console.log(
    `${rates}: ${times.median.toFixed(2)} (goal ≥ 1.6 where cores allow); ${most}; ${cpu}`,
  );
  emitRow('two materializers apply a backlog', atLeast(1.6), times, {
    against: 'one',
    note: `${rates}; ${most}, shared with Kafka and sidecars; ${cpu}`,
  });
});
