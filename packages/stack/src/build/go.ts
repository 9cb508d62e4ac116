import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { built, type Recipe } from './cache.ts';
import { runBuild } from './command.ts';

/** A program that is built from a Go module of the repository and kept in the cache folder. */
export interface GoProgram {
  readonly part: string;
  readonly version: string;
  readonly says: string;
  /** The folder of its `go.mod` and `go.sum`. */
  readonly module: string;
  /** What to build, as `go build` takes it; programs are named by the last part of their path. */
  readonly targets: readonly string[];
  readonly tags?: string;
  /** Variables of its packages, as the linker sets them. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Go files of ours in that folder. */
  readonly sources?: readonly string[];
}

const here = (folder: string) => fileURLToPath(new URL(`../../${folder}`, import.meta.url));

const ETCD: GoProgram = {
  part: 'etcd',
  version: '3.7.0',
  says: 'building the server from its Go module (one to three minutes, only once)',
  module: here('go/etcd'),
  targets: ['go.etcd.io/etcd/server/v3'],
};

const VERSITYGW: GoProgram = {
  part: 'versitygw',
  version: '1.8.0',
  says: 'building the S3 gateway from its Go module (two to four minutes, only once)',
  module: here('go/versitygw'),
  targets: ['github.com/versity/versitygw/cmd/versitygw'],
};

const OTELCOL: GoProgram = {
  part: 'otelcol',
  version: '0.165.0',
  says: 'building the OpenTelemetry collector (one to three minutes, only once)',
  module: here('go/otelcol'),
  targets: ['.'],
  sources: ['main.go'],
};

const DAPRD: GoProgram = {
  part: 'daprd',
  version: '1.18.2',
  says: 'building the sidecar and its certificate authority (ten to twenty minutes, only once)',
  module: here('../../dapr/sidecar'),
  targets: ['.', 'github.com/dapr/dapr/cmd/sentry'],
  tags: 'stablecomponents,state_etcd',
  sources: ['main.go'],
};

const HELM: GoProgram = {
  part: 'helm',
  version: '3.22.0',
  says: 'building helm, kubeconform and a judge of Dockerfiles (one to three minutes, only once)',
  module: here('go/helm'),
  targets: ['helm.sh/helm/v3/cmd/helm', 'github.com/yannh/kubeconform/cmd/kubeconform', '.'],
  sources: ['main.go'],
};

const KUBERNETES_VERSION_OF = 'k8s.io/component-base/version';

const KUBERNETES: GoProgram = {
  part: 'kubernetes',
  version: '1.35.0',
  says: 'building an API server, controllers, a scheduler and kwok (ten to twenty minutes, only once)',
  module: here('go/kubernetes'),
  targets: ['.'],
  sources: ['main.go'],
  // Built from its module, it would call itself 0.0.0, and clients go by what it says.
  variables: {
    [`${KUBERNETES_VERSION_OF}.gitVersion`]: 'v1.35.0',
    [`${KUBERNETES_VERSION_OF}.gitMajor`]: '1',
    [`${KUBERNETES_VERSION_OF}.gitMinor`]: '35',
  },
};

export const etcdRecipe = (): Recipe => recipe(ETCD);
export const versitygwRecipe = (): Recipe => recipe(VERSITYGW);
export const daprdRecipe = (): Recipe => recipe(DAPRD);

export const etcdBinary = (): Promise<string> => goBinary(ETCD, 'server');
export const versitygwBinary = (): Promise<string> => goBinary(VERSITYGW, 'versitygw');
export const otelcolBinary = (): Promise<string> => goBinary(OTELCOL, 'otelcol');
export const daprdBinary = (): Promise<string> => goBinary(DAPRD, 'daprd');
export const sentryBinary = (): Promise<string> => goBinary(DAPRD, 'sentry');

/** What judges the chart and the images, for tests only. */
export const helmBinary = (): Promise<string> => goBinary(HELM, 'helm');
export const kubeconformBinary = (): Promise<string> => goBinary(HELM, 'kubeconform');
export const dockerfileCheckBinary = (): Promise<string> => goBinary(HELM, 'dockerfile-check');

export const kubernetesBinary = (): Promise<string> => goBinary(KUBERNETES, 'kubernetes');

export const ETCD_VERSION = ETCD.version;
export const VERSITYGW_VERSION = VERSITYGW.version;
export const KUBERNETES_VERSION = KUBERNETES.version;
export const OTELCOL_VERSION = OTELCOL.version;
export const DAPRD_VERSION = DAPRD.version;

/** The path of one of its programs, built first if need be. */
export async function goBinary(program: GoProgram, name: string): Promise<string> {
  return join((await built(recipe(program))).folder, name);
}

function recipe(program: GoProgram): Recipe {
  const files = ['go.mod', 'go.sum', ...(program.sources ?? [])];
  const variables = Object.entries(program.variables ?? {}).map(([name, v]) => ` -X ${name}=${v}`);
  const linking = `-ldflags=-s -w${variables.join('')}`;
  const flags = ['-trimpath', '-mod=readonly', linking, `-tags=${program.tags ?? ''}`];
  return {
    part: program.part,
    version: program.version,
    says: program.says,
    inputs: [
      ...program.targets,
      ...flags,
      ...files.map((file) => readFileSync(join(program.module, file), 'utf8')),
    ],
    build: (folder) =>
      runBuild({
        part: program.part,
        command: 'go',
        args: ['build', ...flags, '-o', `${folder}/`, ...program.targets],
        cwd: program.module,
        // No C compiler, and no other toolchain than the one on the machine, unless it must be.
        env: { CGO_ENABLED: '0' },
      }),
  };
}
