import { spawn } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
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
