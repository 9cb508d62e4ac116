import type { ServiceName } from '@memplane/contracts';
import type { SharedLogState } from '@memplane/event-log';

/** What a worker thread needs beside its environment. */
export interface WorkerSetup {
  readonly dataDir: string;
  /** Where records of the audit wait for the log. */
  readonly auditDir: string;
  readonly urls: Readonly<Record<ServiceName, string>>;
  readonly token: string | undefined;
  /** What the services prove themselves by to each other, where the plane has tenants. */
  readonly planeToken: string | undefined;
  readonly logLevel: string;
}

/** From the main thread to a worker. */
export type ToWorker =
  | { readonly kind: 'start'; readonly setup: WorkerSetup; readonly log: SharedLogState }
  | { readonly kind: 'drain' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'answer'; readonly id: number; readonly failure?: Failure };

/** From a worker to the main thread. */
export type FromWorker =
  | { readonly kind: 'started' | 'drained' | 'stopped' }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | {
      readonly kind: 'deleteRecordsBefore';
      readonly id: number;
      readonly partition: number;
      readonly offset: number;
    };

/** An error as it crosses between threads. */
export interface Failure {
  readonly message: string;
  readonly stack?: string;
  readonly code?: string;
  readonly field?: string;
}

export function toFailure(error: unknown): Failure {
  if (!(error instanceof Error)) return { message: String(error) };
  const { message, stack } = error;
  return {
    message,
    ...(stack === undefined ? {} : { stack }),
    ...('code' in error && typeof error.code === 'string' ? { code: error.code } : {}),
  };
}
