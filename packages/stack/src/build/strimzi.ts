import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { built, type Recipe } from './cache.ts';
import { runBuild } from './command.ts';
import { COPY_DEPENDENCIES } from './kafka.ts';

const pom = fileURLToPath(new URL('../../strimzi/pom.xml', import.meta.url));
const RESOURCES = {
  'io.strimzi.api.kafka.model.topic.KafkaTopic': 'kafkatopics.yaml',
  'io.strimzi.api.kafka.model.user.KafkaUser': 'kafkausers.yaml',
};

/** Strimzi publishes its definitions in no package, but what it makes them with. */
export function strimziRecipe(): Recipe {
  return {
    part: 'strimzi-crds',
    version: '0.45.0',
    says: 'making the definitions of topics and users (Maven, a few seconds, only once)',
    inputs: [readFileSync(pom, 'utf8'), COPY_DEPENDENCIES, JSON.stringify(RESOURCES)],
    build: async (folder) => {
      const libs = join(folder, 'libs');
      const part = 'strimzi-crds';
      await runBuild({
        part,
        command: 'mvn',
        args: [
          ...['--batch-mode', '--strict-checksums', '-Dstyle.color=never', '-f', pom],
          ...[COPY_DEPENDENCIES, '-DincludeScope=runtime', `-DoutputDirectory=${libs}`],
        ],
        cwd: folder,
      });
      const wanted = Object.entries(RESOURCES).map(
        ([resource, file]) => `${resource}=${join(folder, file)}`,
      );
      await runBuild({
        part,
        command: 'java',
        args: [
          ...['-cp', `${libs}/*`, 'io.strimzi.crdgenerator.CrdGenerator'],
          ...['--target-kube', '1.25+', '--crd-api-version', 'v1', '--yaml', ...wanted],
        ],
        cwd: folder,
      });
    },
  };
}

/** The folder of the definitions. */
export async function strimziDefinitions(): Promise<string> {
  return (await built(strimziRecipe())).folder;
}
