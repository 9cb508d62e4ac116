import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts } from '@memplane/testkit/ports';
import { KUBERNETES_VERSION, kubernetesBinary } from '../build/go.ts';
import { type EtcdPlan, etcdPlan } from './etcd.ts';
import { checkHttp, checkHttps } from './http-check.ts';
import { credentialFiles, writeCredentials } from './kubernetes-credentials.ts';
import type { ServerPlan } from './plan.ts';

export interface KubernetesPlans {
  /** What a client needs: an administrator's token, and whom to trust (there once it has started). */
  readonly url: string;
  readonly token: string;
  readonly certificateFile: string;
  /** The same, as helm and kubectl read it. */
  readonly kubeconfig: string;
  /** In the order of their start: etcd, API server, controllers, scheduler, and kwok for kubelets. */
  readonly servers: readonly ServerPlan[];
}

const SERVICE_CIDR = '10.96.0.0/16';

/**
 * A control plane of Kubernetes as processes on loopback. Its nodes are whatever Node resources it
 * is given: kwok reports their pods as running, and runs nothing.
 */
export async function kubernetesPlans(dir: string): Promise<KubernetesPlans> {
  const command = await kubernetesBinary();
  const [port = 0, controllersPort = 0, schedulerPort = 0, nodesPort = 0] = await freePorts(4);
  const etcd = await etcdPlan({ dir: join(dir, 'etcd') });
  const url = `https://127.0.0.1:${port}`;
  const files = credentialFiles(dir, url);
  const program = (name: string, port: number, args: string[]) => ({
    name,
    version: KUBERNETES_VERSION,
    command,
    args: [name, ...args],
    cwd: dir,
    // Settings in a home folder are not this cluster's.
    env: { KWOK_WORKDIR: join(dir, 'kwok') },
    ports: [port],
    logFile: join(dir, `${name}.log`),
    prepare: async () => {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      writeCredentials(files);
    },
    readyTimeoutMs: 300_000,
    stopTimeoutMs: 10_000,
  });
  const serving = (name: string, port: number) => [
    ...['--bind-address=127.0.0.1', `--secure-port=${port}`, `--cert-dir=${files.dir}`],
    ...[`--kubeconfig=${files.kubeconfigOf(name)}`, '--leader-elect=false'],
    // Nobody asks them anything but whether they live.
    '--authentication-skip-lookup',
  ];
  const certificate = (name: string) => join(files.dir, `${name}.crt`);
  const controllers = 'kube-controller-manager';
  const scheduler = 'kube-scheduler';
  return {
    url,
    token: files.tokens.admin,
    certificateFile: files.certificate,
    kubeconfig: files.kubeconfigOf('admin'),
    servers: [
      etcd,
      {
        ...program('kube-apiserver', port, apiServerArgs(files, etcd, port)),
        check: () =>
          checkHttps(`${url}/readyz`, files.certificate, {
            authorization: `Bearer ${files.tokens.admin}`,
          }),
      },
      {
        ...program(controllers, controllersPort, [
          ...serving(controllers, controllersPort),
          ...['--use-service-account-credentials', `--root-ca-file=${files.certificate}`],
          `--service-account-private-key-file=${files.accountKey}`,
        ]),
        check: () =>
          checkHttps(`https://127.0.0.1:${controllersPort}/healthz`, certificate(controllers)),
      },
      {
        ...program(scheduler, schedulerPort, serving(scheduler, schedulerPort)),
        check: () =>
          checkHttps(`https://127.0.0.1:${schedulerPort}/healthz`, certificate(scheduler)),
      },
      {
        ...program('kwok', nodesPort, [
          ...[`--kubeconfig=${files.kubeconfigOf('admin')}`, '--manage-all-nodes'],
          ...[`--server-address=127.0.0.1:${nodesPort}`, '--node-lease-duration-seconds=40'],
        ]),
        check: () => checkHttp(`http://127.0.0.1:${nodesPort}/healthz`),
      },
    ],
  };
}

function apiServerArgs(
  files: ReturnType<typeof credentialFiles>,
  etcd: EtcdPlan,
  port: number,
): string[] {
  return [
    ...[`--etcd-servers=http://127.0.0.1:${etcd.port}`, `--cert-dir=${files.dir}`],
    ...['--bind-address=127.0.0.1', `--secure-port=${port}`],
    // An address of loopback is none that a Service could lead to; nobody here asks for it.
    ...['--advertise-address=127.0.0.1', '--endpoint-reconciler-type=none'],
    ...[`--token-auth-file=${files.tokenFile}`, '--authorization-mode=Node,RBAC'],
    ...[`--service-cluster-ip-range=${SERVICE_CIDR}`, '--allow-privileged'],
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${files.accountKey}`,
    `--service-account-signing-key-file=${files.accountKey}`,
  ];
}
