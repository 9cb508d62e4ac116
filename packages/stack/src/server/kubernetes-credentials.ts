import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Who the API server knows by a token, and the groups that they are in. */
const USERS = {
  admin: { user: 'admin', groups: 'system:masters' },
  'kube-controller-manager': { user: 'system:kube-controller-manager', groups: '' },
  'kube-scheduler': { user: 'system:kube-scheduler', groups: '' },
} as const;
type User = keyof typeof USERS;

/** What the parts of a cluster know each other by, as files of one folder. */
export interface CredentialFiles {
  readonly dir: string;
  readonly url: string;
  /** The API server makes it at its start. */
  readonly certificate: string;
  readonly tokenFile: string;
  readonly tokens: Readonly<Record<User, string>>;
  /** The key that tokens of service accounts are signed with. */
  readonly accountKey: string;
  readonly kubeconfigOf: (name: string) => string;
}

/** Names them, and draws the tokens; {@link writeCredentials} makes them. */
export function credentialFiles(folder: string, url: string): CredentialFiles {
  const dir = join(folder, 'credentials');
  const token = () => randomBytes(24).toString('hex');
  return {
    dir,
    url,
    certificate: join(dir, 'apiserver.crt'),
    tokenFile: join(dir, 'tokens.csv'),
    tokens: { admin: token(), 'kube-controller-manager': token(), 'kube-scheduler': token() },
    accountKey: join(dir, 'accounts.key'),
    kubeconfigOf: (name) => join(dir, `${name}.kubeconfig`),
  };
}

export function writeCredentials(files: CredentialFiles): void {
  if (existsSync(files.tokenFile)) return;
  mkdirSync(files.dir, { recursive: true, mode: 0o700 });
  const write = (file: string, text: string) => writeFileSync(file, text, { mode: 0o600 });
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  write(files.accountKey, privateKey);
  const lines = Object.entries(USERS).map(([name, { user, groups }]) => {
    const token = files.tokens[name as User];
    write(files.kubeconfigOf(name), JSON.stringify(kubeconfig(files, user, token)));
    return `${token},${user},${user}${groups && `,${groups}`}\n`;
  });
  write(files.tokenFile, lines.join(''));
}

/** JSON is YAML. */
function kubeconfig({ url, certificate }: CredentialFiles, user: string, token: string): object {
  const cluster = { server: url, 'certificate-authority': certificate };
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'memplane', cluster }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'memplane', context: { cluster: 'memplane', user } }],
    'current-context': 'memplane',
  };
}
