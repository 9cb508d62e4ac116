/**
 * From Kafka into RocksDB, exactly once: the materializer against Kafka Streams (exactly_once_v2,
 * RocksDB stores, with and without their changelogs), the same log, writing the same view, history and
 * id rows. Interleaved rounds on one broker; each side in a process of its own, with an empty store.
 * Both are counted from their first event to their last, so the JVM's start is not; its warming up
 * is, as is Node's.
 *
 *     node benchmarks/consume.ts [events] [entities] [rounds]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startKafka } from '@memplane/stack';
import { fillKafkaLog } from './lib/kafka-log.ts';
import {
  type Consumed,
  kafkaStreamsProgram,
  runConsumer,
  streamsArguments,
} from './lib/kafka-streams.ts';
import { type Measured, ratio, summarize } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';

const [EVENTS = SHORT ? 20_000 : 200_000, ENTITIES = 20_000, ROUNDS = SHORT ? 1 : 5] = process.argv
  .slice(2)
  .map(Number);
const PARTITIONS = 12;
const TOPIC = 'consumed';
const child = fileURLToPath(new URL('./lib/consume-child.ts', import.meta.url));
const dir = mkdtempSync(join(tmpdir(), 'memplane-consume-'));
const { folder } = await kafkaStreamsProgram();
const { server, plan } = await startKafka({ dir: join(dir, 'kafka') });
const brokers = plan.brokers.join(',');
let runs = 0;

const sides: Readonly<Record<string, (state: string) => Promise<Consumed>>> = {
  materializer: (state) =>
    runConsumer(process.execPath, [child, brokers, TOPIC, state, `${EVENTS}`, `${PARTITIONS}`]),
  'Kafka Streams': (state) => runStreams(state, true),
  'Kafka Streams, no changelogs': (state) => runStreams(state, false),
};

function runStreams(state: string, hasChangelogs: boolean): Promise<Consumed> {
  const { brokers } = plan;
  const options = { folder, brokers, topic: TOPIC, state, events: EVENTS, hasChangelogs };
  return runConsumer('java', streamsArguments(options));
}

try {
  await fillKafkaLog(plan.brokers, TOPIC, {
    events: EVENTS,
    entities: ENTITIES,
    partitions: PARTITIONS,
  });
  const names = Object.keys(sides);
  const done = new Map<string, Consumed[]>(names.map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const state = join(dir, `state-${runs++}`);
      const consumed = await sides[name]?.(state);
      if (consumed !== undefined) done.get(name)?.push(consumed);
      rmSync(state, { recursive: true, force: true });
    }
  }
  const measured = (name: string, of: (one: Consumed) => number): Measured =>
    summarize(
      name,
      (done.get(name) ?? []).map((one) => (EVENTS / of(one)) * 1000),
    );
  const table = names.map((name) => {
    const second = measured(name, ({ wallMs }) => wallMs);
    const cpu = measured(name, ({ cpuMs }) => cpuMs);
    return {
      what: name,
      'events/s': Math.round(second.median),
      'events/CPU s': Math.round(cpu.median),
      spread: `${Math.round(cpu.spread * 100)} %`,
    };
  });
  console.table(table);
  for (const [unit, of] of [
    ['per CPU second', ({ cpuMs }: Consumed) => cpuMs],
    ['per second', ({ wallMs }: Consumed) => wallMs],
  ] as const) {
    for (const against of names.slice(1)) {
      const times = ratio(unit, measured('materializer', of), measured(against, of));
      console.log(`${unit}, against ${against}: ${times.median.toFixed(2)} (goal ≥ 1)`);
      emitRow(`consume: Kafka → RocksDB exactly once, ${unit}`, atLeast(1), times, {
        against: `${against}, exactly_once_v2`,
        note: `${EVENTS} events`,
      });
    }
  }
} finally {
  await server.stop();
  rmSync(dir, { recursive: true, force: true });
}
