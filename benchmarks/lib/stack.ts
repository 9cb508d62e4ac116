import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServiceName } from '@memplane/contracts';
import { type StackSettings, stackDown, stackSecrets, stackUp } from '@memplane/stack';
import { freePortBase, sendAlways } from '@memplane/testkit';
import { StackPlane } from '../../tests/stack/stack-plane.ts';

/** Where an instance of a service listens by itself, past its sidecar. */
export interface Direct {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  /** What the service knows its own sidecar by. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A whole stack of its own on free ports, in a folder that goes with it. */
export async function withStack<T>(
  name: string,
  work: (plane: StackPlane) => Promise<T>,
): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), `memplane-bench-${name}-`));
  const settings: StackSettings = { dir, portBase: await freePortBase() };
  const end = async () => {
    await stackDown(settings, true, () => {});
    rmSync(dir, { recursive: true, force: true });
  };
  const signalled = () => void end().finally(() => process.exit(130));
  process.once('SIGINT', signalled);
  process.once('SIGTERM', signalled);
  try {
    const began = performance.now();
    await stackUp(settings, () => {});
    const plane = await StackPlane.connect(settings);
    await plane.ready();
    console.log(`the stack is up after ${((performance.now() - began) / 1000).toFixed(0)} s`);
    return await work(plane);
  } finally {
    process.off('SIGINT', signalled);
    process.off('SIGTERM', signalled);
    await end();
  }
}

/** The instances of a service; calls to them carry the token from here on. */
export function directTo(plane: StackPlane, service: ServiceName): Direct[] {
  const { appTokens } = stackSecrets(plane.settings.dir);
  const headers = { 'dapr-api-token': appTokens[service] };
  return plane.plans.instances.flatMap(({ app }) => {
    if (app.service !== service) return [];
    const url = `http://127.0.0.1:${app.port}`;
    sendAlways(url, headers);
    return [{ name: app.name, port: app.port, url, headers }];
  });
}
