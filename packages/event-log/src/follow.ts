import type { LogReader, LogReadOptions, LogRecord } from './port.ts';

/**
 * All records of a partition from an offset on, batch by batch, without an end: it waits for more
 * where the log ends. It ends without an error when the signal is aborted, and throws what
 * `LogReader.read` throws.
 */
export async function* follow(
  reader: LogReader,
  partition: number,
  from: number,
  signal: AbortSignal,
  options: LogReadOptions = { maxBytes: 1024 * 1024 },
): AsyncGenerator<LogRecord[], void, undefined> {
  let next = from;
  while (!signal.aborted) {
    const records = await reader.read(partition, next, options);
    const last = records.at(-1);
    if (last === undefined) {
      try {
        await reader.waitBeyond(new Map([[partition, next]]), signal);
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
    } else {
      next = last.offset + 1;
      yield records;
    }
  }
}
