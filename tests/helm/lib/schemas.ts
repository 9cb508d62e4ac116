import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { built, strimziDefinitions } from '@memplane/stack';
import { parseAllDocuments } from 'yaml';
import { type JsonSchema, kindsOfDefinition, kindsOfKubernetes } from './to-json-schema.ts';

/** Go modules that have what the chart's resources are checked by, with their sums as in a go.sum. */
const MODULES = [
  {
    module: 'k8s.io/kubernetes@v1.35.0',
    sum: 'h1:PUOojD8c8E3csMP5NX+nLLne6SGqZjrYCscptyBfWMY=',
    files: 'api/openapi-spec/swagger.json',
  },
  {
    module: 'github.com/dapr/dapr@v1.18.2',
    sum: 'h1:yT1BXImaUiYtIKaKVnOBiWVFqQU1ckQaiXkXEO2+Dh0=',
    files: 'charts/dapr/crds/*.yaml',
  },
  {
    module: 'github.com/kedacore/keda/v2@v2.21.0',
    sum: 'h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=',
    files: 'config/crd/bases/*.yaml',
  },
  {
    module: 'github.com/prometheus-operator/prometheus-operator@v0.85.0',
    sum: 'h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=',
    files: 'example/prometheus-operator-crd/*.yaml',
  },
] as const;

/** What is made of them changes with this. */
const FORMAT = '2';

/**
 * A folder of JSON Schemas, `<group>/<kind>_<version>.json`, of Kubernetes itself and of all kinds
 * of others that the chart has; closed, so that a field that there is not is found. Made once.
 */
export async function schemaFolder(): Promise<string> {
  const strimzi = await strimziDefinitions();
  const { folder } = await built({
    part: 'kubernetes-schemas',
    version: '1.35.0',
    says: 'making schemas of Kubernetes, Dapr, KEDA, Prometheus and Strimzi (half a minute, only once)',
    inputs: [FORMAT, JSON.stringify(MODULES), strimzi],
    build: async (target) => {
      for (const { module, sum, files } of MODULES) {
        for (const file of globSync(join(moduleFolder(module, sum), files))) convert(file, target);
      }
      for (const file of globSync(join(strimzi, '*.yaml'))) convert(file, target);
    },
  });
  return folder;
}

/** @throws Error where the module is not the one that was locked */
function moduleFolder(module: string, sum: string): string {
  const { stdout, stderr } = spawnSync('go', ['mod', 'download', '-json', module], {
    encoding: 'utf8',
    // Outside of any module: its own requirements do not matter.
    cwd: '/',
    maxBuffer: 16 * 1024 * 1024,
  });
  const answer: { Dir?: string; Sum?: string; Error?: string } = JSON.parse(stdout || '{}');
  if (answer.Dir === undefined) throw new Error(`${module}: ${answer.Error ?? stderr}`);
  if (answer.Sum !== sum) throw new Error(`${module} is ${answer.Sum}, and should be ${sum}`);
  return answer.Dir;
}

function convert(file: string, target: string): void {
  const text = readFileSync(file, 'utf8');
  const kinds = file.endsWith('.json')
    ? kindsOfKubernetes(JSON.parse(text))
    : parseAllDocuments(text).flatMap((document) => kindsOfDefinition(document.toJS() ?? {}));
  for (const { group, kind, version, schema } of kinds) write(target, group, kind, version, schema);
}

function write(target: string, group: string, kind: string, version: string, schema: JsonSchema) {
  // Kubeconform calls the group of `v1` so.
  const folder = join(target, group || version);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${kind.toLowerCase()}_${version}.json`);
  writeFileSync(file, JSON.stringify(schema));
}
