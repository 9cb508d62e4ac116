import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { type KubernetesPlans, kubernetesPlans, ServerProcess } from '@memplane/stack';
import { eventually } from '@memplane/testkit';
import { parseAllDocuments } from 'yaml';
import { operatorFiles } from '../../helm/lib/definitions.ts';
import type { Resource } from '../../helm/lib/render.ts';
import { KubeApi } from './api.ts';
import { makeNodes } from './nodes.ts';

// One cluster for all tests of a run: they share this process (`--test-isolation=none`).

export interface Cluster {
  readonly api: KubeApi;
  readonly kubeconfig: string;
}

const ESTABLISHED_MS = 60_000;
const processes: ServerProcess[] = [];
let folder: string | undefined;
let started: Promise<Cluster> | undefined;

/** A cluster with the operators' kinds and nodes in three zones; started by whoever asks first. */
export function cluster(): Promise<Cluster> {
  started ??= start().catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return started;
}

after(stop);

async function stop(): Promise<void> {
  // The latest first: nobody is to look for what has ended already.
  for (const each of processes.splice(0).reverse()) await each.stop();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
}

async function start(): Promise<Cluster> {
  folder = mkdtempSync(join(tmpdir(), 'memplane-kubernetes-'));
  const plans = await kubernetesPlans(folder);
  const [etcd, server, ...others] = plans.servers;
  for (const plan of [etcd!, server!]) processes.push(await ServerProcess.start(plan));
  processes.push(...(await Promise.all(others.map((plan) => ServerProcess.start(plan)))));
  const api = new KubeApi(accessOf(plans));
  await makeKinds(api);
  await makeNodes(api);
  return { api, kubeconfig: plans.kubeconfig };
}

function accessOf({ url, token, certificateFile }: KubernetesPlans) {
  return { url, token, certificateFile };
}

/** What the operators would bring: their kinds. Themselves they are not here. */
async function makeKinds(api: KubeApi): Promise<void> {
  const definitions = (await operatorFiles())
    .flatMap((file) => parseAllDocuments(readFileSync(file, 'utf8')))
    .map((document) => document.toJS() as Resource | null)
    .filter((resource) => String(resource?.['kind']) === 'CustomResourceDefinition')
    .map((resource) => resource!);
  await Promise.all(definitions.map((definition) => api.create(definition)));
  const path = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  await eventually('the operators’ kinds are served', ESTABLISHED_MS, async () => {
    const all = await api.list(path);
    return all.length === definitions.length && all.every(isServed) ? true : undefined;
  });
}

function isServed({ status }: Resource): boolean {
  const conditions = (status?.['conditions'] ?? []) as unknown as readonly Condition[];
  return conditions.some((one) => one.type === 'Established' && one.status === 'True');
}

interface Condition {
  readonly type: string;
  readonly status: string;
}
