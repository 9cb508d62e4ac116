import type { ServiceName } from '@memplane/contracts';
import { stackSecrets, stackUp, withScratchStack } from '@memplane/stack';
import { sendAlways } from '@memplane/testkit';
import { StackPlane } from '../../tests/stack/stack-plane.ts';

/** Where an instance of a service listens by itself, past its sidecar. */
export interface Direct {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  /** What the service knows its own sidecar by. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A whole stack that is up, on free ports and in a folder that goes with it. */
export function withStack<T>(name: string, work: (plane: StackPlane) => Promise<T>): Promise<T> {
  return withScratchStack(`bench-${name}`, async (settings) => {
    const began = performance.now();
    await stackUp(settings, () => {});
    const plane = await StackPlane.connect(settings);
    await plane.ready();
    console.log(`the stack is up after ${((performance.now() - began) / 1000).toFixed(0)} s`);
    return await work(plane);
  });
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
