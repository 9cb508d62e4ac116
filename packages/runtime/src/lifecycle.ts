/**
 * What every service offers its host, in this order: `start` (ready when it resolves), `drain`
 * (refuse the new, finish the old), `stop` (close everything). Each may be called once.
 */
export interface Service {
  readonly name: string;
  start(): Promise<void>;
  drain(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Ends a process cleanly on SIGINT or SIGTERM; a second signal ends it at once.
 * @param drainTimeoutMs the longest that draining and stopping may take
 */
export function stopOnSignals(
  service: Pick<Service, 'drain' | 'stop'>,
  options: { drainTimeoutMs: number; onStopping?: () => void; onStopped?: () => void },
): void {
  let stopping = false;
  const stop = () => {
    if (stopping) process.exit(130);
    stopping = true;
    options.onStopping?.();
    const timer = setTimeout(() => process.exit(1), options.drainTimeoutMs);
    timer.unref();
    service
      .drain()
      .then(() => service.stop())
      .then(
        () => {
          options.onStopped?.();
          process.exit(0);
        },
        (error: unknown) => {
          console.error('stopping failed:', error);
          process.exit(1);
        },
      );
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}
