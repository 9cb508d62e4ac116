import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { join } from 'node:path';
import { strimziDefinitions } from '@memplane/stack';

// What the chart's resources are judged by, as Kubernetes and its operators publish it in their Go
// modules, with the modules' sums as in a go.sum. Strimzi's are made by its own generator.

interface GoFiles {
  readonly module: string;
  readonly sum: string;
  readonly files: string;
}

const KUBERNETES: GoFiles = {
  module: 'k8s.io/kubernetes@v1.35.0',
  sum: 'h1:PUOojD8c8E3csMP5NX+nLLne6SGqZjrYCscptyBfWMY=',
  files: 'api/openapi-spec/swagger.json',
};

const OPERATORS: readonly GoFiles[] = [
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
];

/** Tells these versions from others. */
export async function definitionsOf(): Promise<string> {
  return JSON.stringify([KUBERNETES, OPERATORS, await strimziDefinitions()]);
}

/** Kubernetes' own kinds, as OpenAPI. */
export function kubernetesFiles(): string[] {
  return filesOf(KUBERNETES);
}

/** The CustomResourceDefinitions of Dapr, KEDA, the Prometheus operator and Strimzi. */
export async function operatorFiles(): Promise<string[]> {
  const strimzi = globSync(join(await strimziDefinitions(), '*.yaml'));
  return [...OPERATORS.flatMap(filesOf), ...strimzi].sort();
}

function filesOf({ module, sum, files }: GoFiles): string[] {
  return globSync(join(moduleFolder(module, sum), files));
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
