import { Memplane, type MemplaneOptions } from '@memplane/client';
import type { ServiceName } from '@memplane/contracts';
import type { Command } from 'commander';
import { PlaneHttp, SERVICE_ORDER, type ServiceUrls } from '../operate/plane-http.ts';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import { Output } from '../output/output.ts';

export const DEFAULT_URL = 'http://127.0.0.1:7101';

/** What every command that talks to a plane starts from. */
export interface Session {
  readonly client: Memplane;
  readonly output: Output;
  readonly url: string;
  readonly timeoutMs: number;
}

/** Makes a client of the common options. */
export function connect(command: Command, more: MemplaneOptions = {}): Session {
  const options = command.optsWithGlobals<{ url: string; json: boolean; timeout: string }>();
  const timeoutMs = numberOption('--timeout', options.timeout, 0.001, 86_400) * 1000;
  const token = process.env['MEMPLANE_TOKEN'];
  const client = new Memplane({
    url: options.url,
    timeoutMs,
    retries_max: 3,
    source: 'memplane-cli',
    ...(token ? { token } : {}),
    ...more,
  });
  return { client, output: new Output(options), url: options.url, timeoutMs };
}

/** For what the client has no call for: each answer is waited for as long as `--timeout` says. */
export function planeHttp(command: Command): PlaneHttp {
  const options = command.optsWithGlobals<{ url: string; timeout: string }>();
  const idleTimeoutMs = numberOption('--timeout', options.timeout, 0.001, 86_400) * 1000;
  const token = process.env['MEMPLANE_TOKEN'];
  return new PlaneHttp({ url: options.url, urls: serviceUrls(process.env), token, idleTimeoutMs });
}

/** The settings by which services find each other; with commas where there are several instances. */
function serviceUrls(env: NodeJS.ProcessEnv): ServiceUrls {
  const urls: Partial<Record<ServiceName, readonly string[]>> = {};
  for (const service of SERVICE_ORDER) {
    const name = `MEMPLANE_${service.toUpperCase().replace('-', '_')}_URL`;
    const listed = listOf(env[name]);
    if (!listed.every((url) => URL.canParse(url))) {
      throw new CommandError(`${name} must be URLs, with commas between them.`, EXIT.usage);
    }
    if (listed.length > 0) urls[service] = listed;
  }
  return urls;
}

/** The items of a text with commas between them. */
export function listOf(text = ''): string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** @throws CommandError (usage) */
export function numberOption(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= min && value <= max) return value;
  throw new CommandError(`${name} must be a number from ${min} to ${max}.`, EXIT.usage);
}

export function wholeOption(name: string, text: string, min: number, max: number): number {
  const value = numberOption(name, text, min, max);
  if (Number.isInteger(value)) return value;
  throw new CommandError(`${name} must be a whole number.`, EXIT.usage);
}

/** @throws CommandError (usage) that shows the place. */
export function jsonOption(name: string, text: string): Record<string, never> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as Record<string, never>;
    }
  } catch {
    // told below
  }
  throw new CommandError(`${name} must be a JSON object, e.g. '{"channel":"email"}'.`, EXIT.usage);
}
