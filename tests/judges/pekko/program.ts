import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { built, runBuild } from '@memplane/stack';

const folder = fileURLToPath(new URL('./', import.meta.url));
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies';
export const PEKKO_VERSION = '1.6.0';

/**
 * The program that plays traces with Pekko, fetched and compiled once.
 * @returns the arguments of `java`
 */
export async function pekkoProgram(): Promise<string[]> {
  const pom = join(folder, 'pom.xml');
  const source = join(folder, 'PekkoTraces.java');
  const part = await built({
    part: 'pekko',
    version: PEKKO_VERSION,
    says: 'fetching Pekko Distributed Data with Maven and compiling (28 MB, seconds, only once)',
    inputs: [readFileSync(pom, 'utf8'), readFileSync(source, 'utf8'), COPY],
    build: async (target) => {
      await runBuild({
        part: 'pekko',
        command: 'mvn',
        args: [
          ...['--batch-mode', '--strict-checksums', '-Dstyle.color=never', '-f', pom, COPY],
          ...['-DincludeScope=runtime', `-DoutputDirectory=${join(target, 'libs')}`],
        ],
        cwd: target,
      });
      copyFileSync(source, join(target, 'PekkoTraces.java'));
      await runBuild({
        part: 'pekko-javac',
        command: 'javac',
        args: ['-cp', join(target, 'libs', '*'), '-d', target, join(target, 'PekkoTraces.java')],
        cwd: target,
      });
    },
  });
  return ['-cp', `${part.folder}:${join(part.folder, 'libs', '*')}`, 'PekkoTraces'];
}
