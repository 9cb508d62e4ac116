import { MemplaneError } from '@memplane/contracts';
import { callSidecar, type SidecarConfig } from './sidecar.ts';

const TIMEOUT_MS = 5_000;

/** The secret store of the application's sidecar. What is read is for memory only. */
export class DaprSecrets {
  readonly #sidecar: SidecarConfig;
  readonly #store: string;

  constructor(sidecar: SidecarConfig, store = 'secrets') {
    this.#sidecar = sidecar;
    this.#store = store;
  }

  /** @throws MemplaneError `forbidden` where it is not for this application, or is not there */
  async get(name: string): Promise<string> {
    const response = await callSidecar(this.#sidecar, {
      method: 'GET',
      path: `/v1.0/secrets/${this.#store}/${encodeURIComponent(name)}`,
      timeoutMs: TIMEOUT_MS,
      what: `The secret ${name}`,
    });
    const body = (await response.json()) as Record<string, unknown>;
    const value = body[name];
    if (typeof value === 'string' && value !== '') return value;
    throw new MemplaneError('forbidden', `The secret ${name} is empty or has several parts.`);
  }
}
