import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { firstHlcOf } from '@memplane/clock';
import { type EventPayload, encodeToken } from '@memplane/contracts';
import { type LogRecord, partitionOf } from '@memplane/event-log';
import { openKafkaLog } from '@memplane/event-log/kafka';
import { type KafkaPlan, type ServerProcess, startKafka } from '@memplane/stack';
import { type Answer, call, freePorts, LostAnswer } from '@memplane/testkit';
import { cloudEvent } from './testing.ts';

// For tests with a real broker: processes of the service that share the partitions of one log, and
// a writer that keeps what was acknowledged, for an independent fold.

export const SESSION_MS = 3_000;
const START_TIMEOUT_MS = 60_000;
const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));

/** One process of the service. */
export class Instance {
  readonly name: string;
  readonly url: string;
  readonly peerUrl: string;
  readonly #env: NodeJS.ProcessEnv;
  #process: ChildProcess | undefined;
  #stderr = '';
  #isStopped = false;

  constructor(name: string, ports: { port: number; peerPort: number }, env: NodeJS.ProcessEnv) {
    this.name = name;
    this.url = `http://127.0.0.1:${ports.port}`;
    this.peerUrl = `http://127.0.0.1:${ports.peerPort}`;
    this.#env = env;
  }

  /** Resolves once it listens: it may own nothing yet. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [MAIN], {
      env: this.#env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr?.on('data', (text: Buffer) => {
      this.#stderr = (this.#stderr + text.toString()).slice(-4_000);
    });
    this.#process = child;
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await this.#answers())) {
      if (child.exitCode !== null || performance.now() > deadline) {
        throw new Error(`${this.name} does not start: ${this.#stderr}`);
      }
      await pauseMs(20);
    }
  }

  async #answers(): Promise<boolean> {
    return await call('GET', `${this.url}/healthz`, { timeoutMs: 1_000 }).then(
      ({ status }) => status === 200,
      () => false,
    );
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** SIGSTOP: it goes on where it was, with {@link goOn}. */
  stop(): void {
    this.#isStopped = true;
    this.#process?.kill('SIGSTOP');
  }

  goOn(): void {
    this.#isStopped = false;
    this.#process?.kill('SIGCONT');
  }

  /** Ends it at once, or cleanly (SIGTERM). */
  async end(name: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(name);
    await ended;
  }

  get(path: string, timeoutMs = 10_000): Promise<Answer<Body>> {
    return call('GET', this.url + path, { timeoutMs });
  }

  post(path: string, body: unknown): Promise<Answer<Body>> {
    return call('POST', this.url + path, { body, timeoutMs: 10_000 });
  }
}

// biome-ignore lint/suspicious/noExplicitAny: answers are looked at freely in tests
type Body = any;

/** A broker, one log on it, and instances that share its partitions. */
export class Plane {
  readonly partitions: number;
  readonly records: LogRecord[][];
  readonly instances: Instance[] = [];
  readonly dir: string;
  readonly broker: ServerProcess;
  readonly kafka: KafkaPlan;
  readonly #topic: string;
  readonly #writer: Awaited<ReturnType<typeof openKafkaLog>>['writer'];
  #ms: number;

  private constructor(
    parts: Pick<Plane, 'dir' | 'broker' | 'kafka' | 'partitions'>,
    topic: string,
    writer: Awaited<ReturnType<typeof openKafkaLog>>['writer'],
  ) {
    this.dir = parts.dir;
    this.broker = parts.broker;
    this.kafka = parts.kafka;
    this.partitions = parts.partitions;
    this.#topic = topic;
    this.#writer = writer;
    this.records = Array.from({ length: parts.partitions }, () => []);
    this.#ms = Date.now() - 60_000;
  }

  static async start(partitions: number): Promise<Plane> {
    const dir = mkdtempSync(join(tmpdir(), 'memplane-owners-'));
    const { server: broker, plan: kafka } = await startKafka({
      dir: join(dir, 'kafka'),
      properties: {
        'group.consumer.min.session.timeout.ms': '1000',
        'group.consumer.session.timeout.ms': String(SESSION_MS),
        'group.consumer.min.heartbeat.interval.ms': '100',
        'group.consumer.heartbeat.interval.ms': '300',
      },
    });
    const topic = `events-${randomUUID()}`;
    const { writer } = await openKafkaLog({
      brokers: kafka.brokers,
      topic,
      partitionsInitial: partitions,
      create: { partitions, replicas: 1 },
    });
    return new Plane({ dir, broker, kafka, partitions }, topic, writer);
  }

  /** A new instance, with a folder of its own that it keeps through restarts. */
  async add(name: string, settings: Readonly<Record<string, string>> = {}): Promise<Instance> {
    const [port = 0, peerPort = 0] = await freePorts(2);
    const instance = new Instance(
      name,
      { port, peerPort },
      {
        ...process.env,
        MEMPLANE_INSTANCE: name,
        MEMPLANE_MATERIALIZER_PORT: String(port),
        MEMPLANE_MATERIALIZER_PEER_PORT: String(peerPort),
        MEMPLANE_MATERIALIZER_DIR: join(this.dir, name),
        MEMPLANE_BLOB_DIR: join(this.dir, 'blobs'),
        MEMPLANE_KAFKA_BROKERS: this.kafka.brokers.join(','),
        MEMPLANE_KAFKA_TOPIC: this.#topic,
        MEMPLANE_MATERIALIZER_GROUP: `owners-of-${this.#topic}`,
        MEMPLANE_PARTITIONS: String(this.partitions),
        MEMPLANE_PEER_TOKEN: 'secret-of-the-instances',
        MEMPLANE_COUNTER_PUBLISHING: 'false',
        MEMPLANE_LOG_LEVEL: 'fatal',
        ...settings,
      },
    );
    this.instances.push(instance);
    await instance.start();
    return instance;
  }

  /** Appends an event; once it is acknowledged it is among the records. @returns its token */
  async append(id: string, entity: string, data: EventPayload): Promise<string> {
    const partition = partitionOf(entity, this.partitions);
    const hlc = firstHlcOf(++this.#ms);
    const value = Buffer.from(JSON.stringify(cloudEvent({ id, entity, hlc, data })));
    const idDigest = createHash('sha256').update(`${entity} ${id}`).digest().subarray(0, 16);
    const [offset = -1] = await this.#writer.append([
      { partition, key: entity, value, hlc, idDigest, contentDigest: idDigest },
    ]);
    this.records[partition]?.push({ partition, offset, key: entity, value, hlc });
    const { logId, epoch } = this.#writer.info;
    return encodeToken({ logId, epoch, offsets: new Map([[partition, offset]]) });
  }

  /** The token of all that was acknowledged. */
  token(): string {
    const { logId, epoch } = this.#writer.info;
    const ends = this.records.flatMap((records, partition) => {
      const last = Math.max(-1, ...records.map(({ offset }) => offset));
      return last < 0 ? [] : [[partition, last] as const];
    });
    return encodeToken({ logId, epoch, offsets: new Map(ends) });
  }

  async stop(): Promise<void> {
    for (const instance of this.instances) {
      instance.goOn();
      await instance.end('SIGKILL');
    }
    await this.#writer.close().catch(() => {});
    await this.broker.kill();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export function pauseMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Waits until something is so. @throws Error with `what` after a minute */
export async function until(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`not within a minute: ${what}`);
    await pauseMs(50);
  }
}

/** Repeats a read while the plane says that it is about to be answered; other answers are told. */
export async function patiently<T>(read: () => Promise<Answer<T>>): Promise<Answer<T>> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    let last: Answer<T> | undefined;
    try {
      last = await read();
    } catch (error) {
      if (!(error instanceof LostAnswer)) throw error;
    }
    if (last !== undefined && last.status !== 503) return last;
    if (performance.now() > deadline) throw new Error(`no answer within a minute: ${last?.text}`);
    await pauseMs(50);
  }
}
