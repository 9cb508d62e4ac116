import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuiltPart, built, runBuild } from '@memplane/stack';

const folder = fileURLToPath(new URL('../kafka-streams/', import.meta.url));
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies';

/** The Kafka Streams program with its jars: fetched and compiled once. */
export function kafkaStreamsProgram(): Promise<BuiltPart> {
  const pom = join(folder, 'pom.xml');
  const source = join(folder, 'Views.java');
  return built({
    part: 'kafka-streams',
    version: '4.1.0',
    says: 'fetching Kafka Streams with Maven and compiling (90 MB, about a minute, only once)',
    inputs: [readFileSync(pom, 'utf8'), readFileSync(source, 'utf8'), COPY],
    build: async (target) => {
      const libs = join(target, 'libs');
      await runBuild({
        part: 'kafka-streams',
        command: 'mvn',
        args: [
          ...['--batch-mode', '--strict-checksums', '-Dstyle.color=never', '-f', pom, COPY],
          ...['-DincludeScope=runtime', `-DoutputDirectory=${libs}`],
        ],
        cwd: target,
      });
      copyFileSync(source, join(target, 'Views.java'));
      await runBuild({
        part: 'kafka-streams-javac',
        command: 'javac',
        args: ['-cp', join(libs, '*'), '-d', target, join(target, 'Views.java')],
        cwd: target,
      });
    },
  });
}

/** What one side did, from its first event to its last. */
export interface Consumed {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** Runs a program that prints what it did as one line of JSON, and ends. */
export async function runConsumer(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Consumed> {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const code = await new Promise((resolve, reject) => {
    child.once('close', resolve);
    child.once('error', reject);
  });
  const line = text.split('\n').find((one) => one.startsWith('{"events"'));
  if (line === undefined) throw new Error(`${command} ended with ${String(code)}: ${text}`);
  return JSON.parse(line) as Consumed;
}

export interface StreamsOptions {
  /** Of the program. */
  readonly folder: string;
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly state: string;
  /** After so many it says that it is done. */
  readonly events: number;
  readonly hasChangelogs: boolean;
  /** Of one that is killed and started again. */
  readonly name?: string;
}

/** The command line of the Kafka Streams program. */
export function streamsArguments(options: StreamsOptions): string[] {
  const { folder, brokers, topic, state, events, hasChangelogs, name } = options;
  return [
    ...['-Xmx1g', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'],
    ...['-cp', `${folder}:${join(folder, 'libs', '*')}`, 'Views'],
    ...[brokers.join(), topic, state, `${events}`, `${availableParallelism()}`],
    ...[`${hasChangelogs}`, ...(name === undefined ? [] : [name])],
  ];
}

/** The Kafka Streams program as a process that is watched, and killed. */
export class StreamsProcess {
  readonly #child: ChildProcess;
  readonly #started = performance.now();
  /** What it said, with the time since its start in ms. */
  readonly #lines: { readonly line: string; readonly ms: number }[] = [];
  readonly #exited: Promise<void>;
  #wake = () => {};

  constructor(options: StreamsOptions) {
    const words = ['--pdeathsig', 'KILL', '--', 'java', ...streamsArguments(options)];
    this.#child = spawn('setpriv', words, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#exited = new Promise((resolve) => this.#child.once('close', () => resolve()));
    let rest = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      const ms = performance.now() - this.#started;
      for (const line of lines) this.#lines.push({ line, ms });
      this.#wake();
    });
  }

  /** @returns milliseconds from its start until it said something that begins so */
  async said(beginning: string, timeoutMs: number): Promise<number> {
    const deadline = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const found = this.#lines.find(({ line }) => line.startsWith(beginning));
      if (found !== undefined) return found.ms;
      const isOver = this.#child.exitCode !== null || this.#child.signalCode !== null;
      if (isOver || deadline.aborted) throw new Error(`Kafka Streams never said ${beginning}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        deadline.addEventListener('abort', () => resolve(), { once: true });
        this.#child.once('exit', () => resolve());
      });
    }
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}
