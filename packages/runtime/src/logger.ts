import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** Structured logs on standard error, so that standard output stays free for results. */
export function createLogger(service: string, level: string): Logger {
  const redact = ['token', 'authorization', 'headers.authorization', '*.token'];
  return pino({ name: service, level, redact }, pino.destination({ dest: 2, sync: true }));
}
