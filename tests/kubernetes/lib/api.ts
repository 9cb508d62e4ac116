import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { NAMESPACE, type Resource } from '../../helm/lib/render.ts';

/** An API server's answer that is no success: a `Status` of Kubernetes. */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  readonly status: number;

  constructor(call: string, status: number, message: string) {
    super(`${call}: ${status} ${message}`);
    this.status = status;
  }
}

/** A kind of resource, as the API server's discovery tells it. */
export interface Kind {
  readonly kind: string;
  /** Of its API, e.g. `/apis/apps/v1`. */
  readonly root: string;
  /** Its name in paths, e.g. `statefulsets`. */
  readonly plural: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

export interface Access {
  readonly url: string;
  readonly token: string;
  readonly certificateFile: string;
}

const TIMEOUT_MS = 60_000;
const AGENT = new Agent({ keepAlive: true, maxSockets: 16 });

/** The API server's REST interface, as one user. */
export class KubeApi {
  /** What it warned of (`Warning` headers: deprecated or doubled fields, Pod Security). */
  readonly warnings: string[] = [];
  readonly #access: Access;
  readonly #certificate: Buffer;
  readonly #kinds = new Map<string, Promise<Kind[]>>();

  constructor(access: Access) {
    this.#access = access;
    this.#certificate = readFileSync(access.certificateFile);
  }

  /** The same server, as whoever holds this token. */
  as(token: string): KubeApi {
    return new KubeApi({ ...this.#access, token });
  }

  get(path: string): Promise<Resource> {
    return this.call('GET', path);
  }

  async list(path: string): Promise<Resource[]> {
    return (await this.get(path))['items'] as unknown as Resource[];
  }

  post(path: string, body: object): Promise<Resource> {
    return this.call('POST', path, body);
  }

  /** Changes some fields (JSON merge patch, RFC 7396). */
  patch(path: string, body: object): Promise<Resource> {
    return this.call('PATCH', path, body, 'application/merge-patch+json');
  }

  delete(path: string): Promise<Resource> {
    return this.call('DELETE', path);
  }

  /** Creates a resource where it says, or in the release's namespace. @param query e.g. `?dryRun=All` */
  async create(resource: Resource, query = ''): Promise<Resource> {
    const at = await this.#collection(resource);
    return this.post(`${at}${query}`, resource);
  }

  /** Every kind of the server, in the version that it prefers. */
  async kinds(): Promise<Kind[]> {
    const groups = (await this.get('/apis'))['groups'] as unknown as readonly Group[];
    const roots = groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`);
    return (await Promise.all(['/api/v1', ...roots].map((root) => this.#kindsOf(root)))).flat();
  }

  /** One call. @throws ApiProblem where it is refused */
  call(method: string, path: string, body?: object, type = 'application/json'): Promise<Resource> {
    const { url, token } = this.#access;
    const headers = { authorization: `Bearer ${token}`, 'content-type': type };
    return new Promise((resolve, reject) => {
      const options = { method, headers, agent: AGENT, ca: this.#certificate, timeout: TIMEOUT_MS };
      const call = request(url + path, options, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.once('error', reject);
        answer.once('end', () => {
          const text = Buffer.concat(parts).toString();
          const status = answer.statusCode ?? 0;
          const warning = answer.headers['warning'];
          if (warning !== undefined) this.warnings.push(String(warning));
          if (status < 300) resolve(JSON.parse(text));
          else reject(new ApiProblem(`${method} ${path}`, status, messageOf(text)));
        });
      });
      call.once('timeout', () => call.destroy(new Error(`${method} ${path}: no answer`)));
      call.once('error', reject);
      call.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  async #collection({ apiVersion, kind, metadata }: Resource): Promise<string> {
    const version = String(apiVersion);
    const kinds = await this.#kindsOf(version.includes('/') ? `/apis/${version}` : '/api/v1');
    const found = kinds.find((one) => one.kind === String(kind));
    if (found === undefined) throw new Error(`the server knows no ${kind} of ${version}`);
    return collectionOf(found, String(metadata?.['namespace'] ?? NAMESPACE));
  }

  #kindsOf(root: string): Promise<Kind[]> {
    const known = this.#kinds.get(root) ?? this.#discover(root);
    this.#kinds.set(root, known);
    return known;
  }

  async #discover(root: string): Promise<Kind[]> {
    const resources = (await this.get(root))['resources'] as unknown as readonly Found[];
    return resources
      .filter(({ name }) => !name.includes('/'))
      .map(({ name, kind, namespaced, verbs }) => ({
        kind,
        root,
        plural: name,
        namespaced,
        verbs,
      }));
  }
}

/** @param namespace of a kind that has one; all of them, where it is absent */
export function collectionOf({ root, plural, namespaced }: Kind, namespace?: string): string {
  return namespaced && namespace !== undefined
    ? `${root}/namespaces/${namespace}/${plural}`
    : `${root}/${plural}`;
}

interface Group {
  readonly preferredVersion: { readonly groupVersion: string };
}

type Found = Omit<Kind, 'root' | 'plural'> & { readonly name: string };

function messageOf(text: string): string {
  try {
    return String(JSON.parse(text).message);
  } catch {
    return text;
  }
}
