import { eventually } from '@memplane/testkit';
import { ApiProblem, type KubeApi } from './api.ts';

const GONE_MS = 120_000;
const PATH = '/api/v1/namespaces';

/** Where the chart's sets of values have their agents and topics, beside the release's own. */
export const OTHER_NAMESPACES = ['agents', 'planning', 'kafka'] as const;

/** Namespaces that go, with all that is in them, at the end of a test. */
export class Namespaces implements AsyncDisposable {
  readonly #api: KubeApi;
  readonly #names: readonly string[];

  private constructor(api: KubeApi, names: readonly string[]) {
    this.#api = api;
    this.#names = names;
  }

  /** All of them take only what the restricted Pod Security Standard allows. */
  static async make(api: KubeApi, ...names: readonly string[]): Promise<Namespaces> {
    const labels = {
      'pod-security.kubernetes.io/enforce': 'restricted',
      'pod-security.kubernetes.io/warn': 'restricted',
    };
    for (const name of names) {
      // What a test that failed has left may still be going.
      await gone(api, name);
      await api.post(PATH, { metadata: { name, labels } });
      // Pods and tokens are refused before it is there.
      const account = `${PATH}/${name}/serviceaccounts/default`;
      await eventually(`${account} is there`, GONE_MS, () => found(api, account));
      const root = `${PATH}/${name}/configmaps/kube-root-ca.crt`;
      await eventually(`${root} is there`, GONE_MS, () => found(api, root));
    }
    return new Namespaces(api, names);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of this.#names) await this.#api.delete(`${PATH}/${name}`);
    for (const name of this.#names) await gone(this.#api, name);
  }
}

function gone(api: KubeApi, name: string): Promise<true> {
  return eventually(`${name} is gone`, GONE_MS, async () => {
    return (await found(api, `${PATH}/${name}`)) === undefined || undefined;
  });
}

/** Undefined where there is none. */
export async function found(api: KubeApi, path: string) {
  try {
    return await api.get(path);
  } catch (error) {
    if (error instanceof ApiProblem && error.status === 404) return undefined;
    throw error;
  }
}
