import { type MemplaneError, storedDeadLetterSchema } from '@memplane/contracts';

/** A message that could never be appended, with the reason and the place that it had. */
export interface DeadLetter {
  readonly reason: DeadLetterReason;
  readonly topic: string;
  readonly key: string | undefined;
  readonly partition: number | undefined;
  readonly offset: number | undefined;
  readonly timestampMs: number | undefined;
  /** RFC 3339. */
  readonly deadAt: string;
  /** The message, byte for byte. */
  readonly bytes: Buffer;
}

export interface DeadLetterReason {
  readonly code: string;
  readonly detail: string;
  readonly field?: string | undefined;
}

/** A dead letter with its own place. */
export interface KeptDeadLetter {
  readonly partition: number;
  readonly offset: number;
  readonly letter: DeadLetter;
}

/** Where dead letters are kept. */
export interface DeadLetterLog {
  /** Resolves when it is durable. */
  keep(letter: DeadLetter): Promise<void>;
  /**
   * The oldest from a place on, at most `limit`.
   * @param cursor from an earlier page; undefined: from the start
   */
  list(cursor: string | undefined, limit: number): Promise<DeadLetterPage>;
  /** @throws MemplaneError `not_found` */
  get(partition: number, offset: number): Promise<KeptDeadLetter>;
  close(): Promise<void>;
}

export interface DeadLetterPage {
  readonly letters: readonly KeptDeadLetter[];
  /** Undefined at the end. */
  readonly next: string | undefined;
}

const FORMAT_VERSION = 1;

/** As it is published. */
export function storedLetter({ bytes, ...letter }: DeadLetter): unknown {
  return { formatVersion: FORMAT_VERSION, ...letter, base64: bytes.toString('base64') };
}

/**
 * Reads what lies in the topic: our own form in a sidecar's envelope. What somebody else has put
 * there is shown as it is.
 */
export function readLetter(value: Buffer, key: string): DeadLetter {
  try {
    const envelope = JSON.parse(value.toString('utf8')) as { data?: unknown } | null;
    const stored = storedDeadLetterSchema.safeParse(envelope?.data);
    if (stored.success) {
      const { base64, formatVersion: _version, ...letter } = stored.data;
      const { key, partition, offset, timestampMs } = letter;
      const bytes = Buffer.from(base64, 'base64');
      return { ...letter, key, partition, offset, timestampMs, bytes };
    }
  } catch {
    // not JSON: somebody else's
  }
  return {
    reason: { code: 'unknown', detail: 'Not put here by event-ingest.' },
    topic: '',
    key,
    partition: undefined,
    offset: undefined,
    timestampMs: undefined,
    deadAt: '',
    bytes: value,
  };
}

export function reasonOf({ code, message, field }: MemplaneError): DeadLetterReason {
  return { code, detail: message, ...(field === undefined ? {} : { field }) };
}
