import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { built } from '@memplane/stack';
import { parseAllDocuments } from 'yaml';
import { definitionsOf, kubernetesFiles, operatorFiles } from './definitions.ts';
import { type JsonSchema, kindsOfDefinition, kindsOfKubernetes } from './to-json-schema.ts';

/** What is made of them changes with this. */
const FORMAT = '2';

/**
 * A folder of JSON Schemas, `<group>/<kind>_<version>.json`, of Kubernetes itself and of all kinds
 * of others that the chart has; closed, so that a field that there is not is found. Made once.
 */
export async function schemaFolder(): Promise<string> {
  const { folder } = await built({
    part: 'kubernetes-schemas',
    version: '1.35.0',
    says: 'making schemas of Kubernetes, Dapr, KEDA, Prometheus and Strimzi (half a minute, only once)',
    inputs: [FORMAT, await definitionsOf()],
    build: async (target) => {
      for (const file of [...kubernetesFiles(), ...(await operatorFiles())]) convert(file, target);
    },
  });
  return folder;
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
