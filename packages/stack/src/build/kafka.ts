import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { built, type Recipe } from './cache.ts';
import { runBuild } from './command.ts';

export const KAFKA_VERSION = '4.1.0';
export const COPY_DEPENDENCIES =
  'org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies';
const pom = fileURLToPath(new URL('../../kafka/pom.xml', import.meta.url));

export function kafkaRecipe(): Recipe {
  return {
    part: 'kafka',
    version: KAFKA_VERSION,
    says: 'fetching the broker and its tools with Maven (120 MB, about half a minute, only once)',
    inputs: [readFileSync(pom, 'utf8'), COPY_DEPENDENCIES],
    build: (folder) =>
      runBuild({
        part: 'kafka',
        command: 'mvn',
        args: [
          ...[
            '--batch-mode',
            '--strict-checksums',
            '-Dstyle.color=never',
            '-f',
            pom,
            COPY_DEPENDENCIES,
          ],
          ...['-DincludeScope=runtime', `-DoutputDirectory=${join(folder, 'libs')}`],
        ],
        cwd: folder,
      }),
  };
}

/** The folder of Kafka's jars. */
export async function kafkaLibs(): Promise<string> {
  return join((await built(kafkaRecipe())).folder, 'libs');
}
