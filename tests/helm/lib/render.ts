import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { helmBinary, kubeconformBinary } from '@memplane/stack';
import { parseAllDocuments } from 'yaml';

export const root = fileURLToPath(new URL('../../../', import.meta.url));
export const chart = join(root, 'helm/memplane');
/** Helm that is built from its module believes in 1.20. */
const KUBE_VERSION = '1.35.0';
export const RELEASE = 'm';
export const NAMESPACE = 'mem';
/** The beginning of all names under that release. */
export const NAME = 'm-memplane';

const helm = await helmBinary();

/** Values, as a user writes them; nested, or by paths: `{'kafka.partitions': 24}`. */
export type Values = Readonly<Record<string, unknown>>;

/** A resource of Kubernetes, or a part of one. Tests ask it for whatever they expect. */
export interface Resource {
  readonly [field: string]: Resource;
}

/** The entries of a list, none where there is no list. */
export function list(part: Resource | undefined): Resource[] {
  return Array.isArray(part) ? part : [];
}

/** The entry of a list that has this name. @throws Error that says which names there are */
export function named(part: Resource | undefined, name: string): Resource {
  const found = list(part).find((entry) => String(entry['name']) === name);
  if (found !== undefined) return found;
  throw new Error(`no ${name}; there are: ${list(part).map((entry) => entry['name'])}`);
}

/** The pod templates of all that run pods, by the name of their component. */
export function pods({ resources }: Rendered): Map<string, Resource> {
  const found = new Map<string, Resource>();
  for (const { kind, metadata, spec } of resources) {
    const name = String(metadata?.['name']).replace(`${NAME}-`, '');
    const what = String(kind);
    if (what === 'Deployment' || what === 'StatefulSet') found.set(name, spec!['template']!);
    if (what === 'CronJob') found.set(name, spec!['jobTemplate']!['spec']!['template']!);
    if (what === 'Pod') found.set(name, { metadata: metadata!, spec: spec! });
  }
  return found;
}

export interface Rendered {
  readonly text: string;
  readonly resources: readonly Resource[];
  /** @throws Error that says what there is instead */
  get(kind: string, name: string): Resource;
  all(kind: string): Resource[];
}

/** The least that the distributed shape needs. */
export const DISTRIBUTED: Values = {
  shape: 'distributed',
  kafka: { brokers: ['kafka.kafka:9092'] },
  etcd: { endpoints: ['etcd.etcd:2379'] },
  state: { redisAddress: 'redis.redis:6379' },
  milvus: { address: 'milvus.milvus:19530' },
  s3: { endpoint: 'https://s3.example.com' },
};

/** @throws Error with helm's own words */
export function render(...values: readonly Values[]): Rendered {
  const { status, stdout, stderr } = template(values);
  if (status !== 0) throw new Error(stderr);
  return rendered(stdout);
}

/** What helm says of values that it must refuse; undefined where it does not. */
export function refusal(...values: readonly Values[]): string | undefined {
  const { status, stderr } = template(values);
  return status === 0 ? undefined : stderr;
}

/** @param folder of another chart than the project's */
export function renderFile(file: string, folder: string = chart): Rendered {
  const { status, stdout, stderr } = run(['--values', file], folder);
  if (status !== 0) throw new Error(stderr);
  return rendered(stdout);
}

export function lint(...files: readonly string[]) {
  const values = files.flatMap((file) => ['--values', file]);
  return spawnSync(helm, ['lint', '--strict', chart, '--kube-version', KUBE_VERSION, ...values], {
    encoding: 'utf8',
  });
}

/** Judges resources by the schemas of a folder; the words are kubeconform's, empty where all is well. */
export async function conform(text: string, schemas: string): Promise<string> {
  const where = `${schemas}/{{ .Group }}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json`;
  const { status, stdout, stderr } = spawnSync(
    await kubeconformBinary(),
    ['-strict', '-summary', '-kubernetes-version', KUBE_VERSION, '-schema-location', where],
    { input: text, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
  );
  return status === 0 ? '' : stdout + stderr;
}

function template(values: readonly Values[]) {
  const dir = mkdtempSync(join(tmpdir(), 'memplane-values-'));
  try {
    const files = values.flatMap((each, i) => {
      const file = join(dir, `${i}.yaml`);
      writeFileSync(file, JSON.stringify(nested(each)));
      return ['--values', file];
    });
    return run(files);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

function run(args: readonly string[], folder: string = chart) {
  const own = [...['--namespace', NAMESPACE], ...['--kube-version', KUBE_VERSION]];
  return spawnSync(helm, ['template', RELEASE, folder, ...own, ...args], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
}

/** Parsed once it is asked for: reading takes longer than rendering. */
function rendered(text: string): Rendered {
  let parsed: Resource[] | undefined;
  const resources = () => {
    parsed ??= parseResources(text);
    return parsed;
  };
  const all = (kind: string) => resources().filter((resource) => String(resource['kind']) === kind);
  return {
    text,
    get resources() {
      return resources();
    },
    all,
    get(kind, name) {
      const found = all(kind).filter((resource) => String(resource['metadata']?.['name']) === name);
      if (found.length === 1 && found[0] !== undefined) return found[0];
      const names = all(kind).map((resource) => resource['metadata']?.['name']);
      throw new Error(`${found.length} ${kind} ${name}; there are: ${names.join(', ')}`);
    },
  };
}

function parseResources(text: string): Resource[] {
  return parseAllDocuments(text)
    .map((document) => {
      if (document.errors.length > 0) throw document.errors[0];
      return document.toJS() as Resource | null;
    })
    .filter((resource) => resource !== null);
}

/** `{'a.b': 1}` means `{a: {b: 1}}`. */
export function nested(values: Values): Record<string, unknown> {
  const made: Record<string, unknown> = {};
  for (const [path, value] of Object.entries(values)) {
    const keys = path.split('.');
    const last = keys.pop() ?? '';
    let at = made;
    for (const key of keys) {
      at[key] = { ...((at[key] as object | undefined) ?? {}) };
      at = at[key] as Record<string, unknown>;
    }
    at[last] = value;
  }
  return made;
}
