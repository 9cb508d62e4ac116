import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '@memplane/testkit/ports';
import { KAFKA_VERSION, kafkaLibs } from '../build/kafka.ts';
import { checkKafka } from './kafka-check.ts';
import type { ServerPlan } from './plan.ts';
import { ServerProcess } from './process.ts';

export interface KafkaOptions {
  /** Where its data, settings and log are kept. */
  readonly dir: string;
  readonly name?: string;
  readonly port?: number;
  readonly controllerPort?: number;
  /** A second listener on `port` that tells its clients to come to `advertisedPort`: for a proxy. */
  readonly proxied?: { readonly port: number; readonly advertisedPort: number };
  readonly heapMib?: number;
  /** Broker settings that replace or extend ours, e.g. `group.consumer.session.timeout.ms`. */
  readonly properties?: Readonly<Record<string, string>>;
}

export interface KafkaPlan extends ServerPlan {
  readonly port: number;
  /** `host:port`, as clients want it. */
  readonly brokers: readonly string[];
  readonly libs: string;
}

/** One broker that is its own controller (KRaft), built first if need be. */
export async function kafkaPlan(options: KafkaOptions): Promise<KafkaPlan> {
  const libs = await kafkaLibs();
  const [free = 0, freeController = 0] = await freePorts(2);
  const port = options.port ?? free;
  const controllerPort = options.controllerPort ?? freeController;
  const { dir, proxied } = options;
  const heapMib = options.heapMib ?? 512;
  return {
    name: options.name ?? 'kafka',
    version: KAFKA_VERSION,
    command: 'java',
    args: [
      ...[`-Xms${heapMib}m`, `-Xmx${heapMib}m`, '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20'],
      '-Djava.awt.headless=true',
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      '-Dorg.slf4j.simpleLogger.showDateTime=true',
      ...['-cp', join(libs, '*'), 'kafka.Kafka', join(dir, 'server.properties')],
    ],
    cwd: dir,
    env: {},
    ports: [port, controllerPort, ...(proxied ? [proxied.port] : [])],
    logFile: join(dir, 'kafka.log'),
    prepare: async () => prepare(options, libs, port, controllerPort),
    check: () => checkKafka(port),
    readyTimeoutMs: 90_000,
    stopTimeoutMs: 30_000,
    port,
    brokers: [`127.0.0.1:${port}`],
    libs,
  };
}

/** A broker of a test's own. */
export async function startKafka(
  options: KafkaOptions,
): Promise<{ readonly server: ServerProcess; readonly plan: KafkaPlan }> {
  const plan = await kafkaPlan(options);
  return { plan, server: await ServerProcess.start(plan) };
}

function prepare(options: KafkaOptions, libs: string, port: number, controllerPort: number): void {
  const { dir, proxied } = options;
  mkdirSync(dir, { recursive: true });
  const back = proxied ? [`PROXIED://127.0.0.1:${proxied.port}`] : [];
  const advertised = proxied ? [`PROXIED://127.0.0.1:${proxied.advertisedPort}`] : [];
  const plain = `PLAINTEXT://127.0.0.1:${port}`;
  const properties: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.bootstrap.servers': `127.0.0.1:${controllerPort}`,
    listeners: [plain, ...back, `CONTROLLER://127.0.0.1:${controllerPort}`].join(','),
    'advertised.listeners': [plain, ...advertised].join(','),
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(dir, 'data'),
    // A topic is made on purpose, with its partitions and retention, or not at all.
    'auto.create.topics.enable': 'false',
    'message.max.bytes': String(2 * 1024 * 1024),
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '4',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    // How soon what a killed owner had is answered for again; by default after 45 s.
    'group.consumer.min.session.timeout.ms': '1000',
    'group.consumer.session.timeout.ms': '6000',
    'group.consumer.min.heartbeat.interval.ms': '100',
    'group.consumer.heartbeat.interval.ms': '500',
    // After a crash the broker is let in again only when its last session has run out.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    ...options.properties,
  };
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}`);
  writeFileSync(join(dir, 'server.properties'), `${lines.join('\n')}\n`);
  if (!existsSync(join(dir, 'data', 'meta.properties'))) format(dir, libs);
}

function format(dir: string, libs: string): void {
  const id = clusterId();
  const made = spawnSync(
    'java',
    [
      ...['-XX:TieredStopAtLevel=1', '-cp', join(libs, '*'), 'kafka.tools.StorageTool', 'format'],
      ...['--standalone', '--cluster-id', id, '--config', join(dir, 'server.properties')],
    ],
    { cwd: dir, encoding: 'utf8', timeout: 60_000 },
  );
  if (made.error) throw new Error(`kafka: java could not be started: ${made.error.message}`);
  if (made.status !== 0) throw new Error(`kafka: its storage was not made:\n${made.stderr}`);
}

/** 128 random bits in base64url; the tools take an id that begins with `-` for an option. */
function clusterId(): string {
  for (;;) {
    const id = randomBytes(16).toString('base64url');
    if (!id.startsWith('-')) return id;
  }
}
