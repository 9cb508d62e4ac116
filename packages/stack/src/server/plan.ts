/** What must end first: applications, then what they talk through, then what that talks to. */
export const TIERS = ['application', 'sidecar', 'server'] as const;
export type Tier = (typeof TIERS)[number];

/** How one server of the stack is run: all that a test or the supervisor needs to know of it. */
export interface ServerPlan {
  /** Unique in its stack, e.g. `kafka` or `materializer-2-dapr`. */
  readonly name: string;
  readonly version: string;
  /** `server` unless said otherwise. */
  readonly tier?: Tier;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** TCP ports of 127.0.0.1 that it listens on; they must be free before it starts. */
  readonly ports: readonly number[];
  readonly logFile: string;
  /** Makes folders and files, before every start; what is there already stays. */
  readonly prepare: () => Promise<void>;
  /** One look at whether it serves. @throws Error that says what is missing */
  readonly check: () => Promise<void>;
  readonly readyTimeoutMs: number;
  /** How long it may take to end by itself after SIGTERM. */
  readonly stopTimeoutMs: number;
}
