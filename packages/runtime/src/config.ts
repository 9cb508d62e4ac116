/** Environment variables, as `process.env` has them. */
export type Env = Readonly<Record<string, string | undefined>>;

/** One setting: where it comes from, what it means, and what it may be. */
export interface Setting<T> {
  readonly env: string;
  readonly description: string;
  readonly fallback: T;
  /** How the default is shown; the secret ones show nothing. */
  readonly unit?: string;
  readonly parse: (text: string) => T;
}

/** Several settings were wrong; the message names each with what it may be. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

interface NumberOptions {
  readonly min?: number;
  readonly max?: number;
  readonly unit?: string;
}

/** A whole number, e.g. `drainTimeoutMs`. */
export function integer(
  env: string,
  fallback: number,
  description: string,
  options: NumberOptions = {},
): Setting<number> {
  const { min = 0, max = Number.MAX_SAFE_INTEGER, unit } = options;
  const parse = (text: string) => {
    const value = Number(text);
    if (!/^-?\d+$/.test(text.trim()) || value < min || value > max) {
      throw new Error(`must be a whole number from ${min} to ${max}`);
    }
    return value;
  };
  return { env, fallback, description, parse, ...(unit === undefined ? {} : { unit }) };
}

export function text<T extends string | undefined>(
  env: string,
  fallback: T,
  description: string,
): Setting<string | T> {
  return { env, fallback, description, parse: (value) => value };
}

export function flag(env: string, fallback: boolean, description: string): Setting<boolean> {
  const parse = (value: string) => {
    if (/^(1|true|yes|on)$/i.test(value)) return true;
    if (/^(0|false|no|off)$/i.test(value)) return false;
    throw new Error('must be true or false');
  };
  return { env, fallback, description, parse };
}

export function oneOf<const T extends string>(
  env: string,
  values: readonly T[],
  fallback: T,
  description: string,
): Setting<T> {
  const parse = (value: string) => {
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) throw new Error(`must be one of ${values.join(', ')}`);
    return found;
  };
  return { env, fallback, description, parse };
}

/** The values of a record of settings. */
export type Config<S extends Readonly<Record<string, Setting<unknown>>>> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

/** Reads all settings. @throws ConfigError that names every wrong one. */
export function readConfig<S extends Readonly<Record<string, Setting<unknown>>>>(
  settings: S,
  env: Env,
): Config<S> {
  const wrong: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(settings)) {
    const raw = env[setting.env];
    try {
      values[name] = raw === undefined || raw === '' ? setting.fallback : setting.parse(raw);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      wrong.push(`${setting.env}=${raw}: ${why} (${setting.description})`);
    }
  }
  if (wrong.length > 0) throw new ConfigError(`wrong settings:\n  ${wrong.join('\n  ')}`);
  return values as Config<S>;
}

/** Of every service that runs beside a sidecar: see `HttpOptions.appToken`. */
export const APP_TOKEN_SETTING = text(
  'APP_API_TOKEN',
  undefined,
  'What the sidecar proves itself by; then only its calls, and those with the bearer token, are served.',
);
