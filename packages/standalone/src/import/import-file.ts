import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Memplane } from '@memplane/client';
import { SingleBar } from 'cli-progress';
import { CommandError, EXIT } from '../output/exit-codes.ts';
import { CheckpointFile } from './checkpoint.ts';
import { Lanes } from './lanes.ts';
import { readLines } from './line-reader.ts';
import { Watermark } from './watermark.ts';

export interface ImportOptions {
  readonly file: string;
  readonly lanes: number;
  readonly batch_events_max: number;
  readonly skipBad: boolean;
  readonly restart: boolean;
}

export interface ImportResult {
  lines: number;
  appended: number;
  duplicates: number;
  refused: number;
}

const LINE_BYTES_MAX = 1024 * 1024;
const BATCH_BYTES_MAX = 4 * 1024 * 1024;
const BATCH_TIMEOUT_MS = 120_000;
const SAVE_INTERVAL_MS = 500;
const TELL_INTERVAL_MS = 5_000;
const REFUSED_SHOWN_MAX = 20;

/** @throws CommandError that names the first bad line, unless those are skipped */
export async function importFile(client: Memplane, options: ImportOptions): Promise<ImportResult> {
  const size = await sizeOf(options.file);
  const logId = String((await client.shards())['logId'] ?? 'unknown');
  const checkpoint = new CheckpointFile(stateDir(), options.file, logId);
  const start = (options.restart ? undefined : await checkpoint.load()) ?? { offset: 0, line: 0 };
  if (start.line > 0) console.error(`Going on after line ${start.line.toLocaleString('en-US')}.`);
  const result: ImportResult = { lines: 0, appended: 0, duplicates: 0, refused: 0 };
  const watermark = new Watermark(start);
  const progress = new Progress(size, start.offset, result);
  const refuse = (line: number, why: string) => {
    if (!options.skipBad) throw new CommandError(`${options.file}:${line}: ${why}`, EXIT.refused);
    result.refused++;
    if (result.refused <= REFUSED_SHOWN_MAX) console.error(`${options.file}:${line}: ${why}`);
  };
  const lanes = new Lanes({
    client,
    lanes: options.lanes,
    batch_events_max: options.batch_events_max,
    batch_bytes_max: BATCH_BYTES_MAX,
    timeoutMs: BATCH_TIMEOUT_MS,
    onAppended: (results) => {
      const repeated = results.filter(({ duplicate }) => duplicate).length;
      result.duplicates += repeated;
      result.appended += results.length - repeated;
    },
    onRefused: (line, error) => {
      refuse(line, error instanceof Error ? error.message : String(error));
      return true;
    },
  });
  let savedAt = performance.now();
  try {
    for await (const { bytes, line, end } of readLines(options.file, start, LINE_BYTES_MAX)) {
      result.lines++;
      const done = watermark.add({ offset: end, line });
      const text = bytes.toString('utf8').trim();
      const event = text === '' ? undefined : eventOf(text, line, refuse);
      if (event === undefined) done();
      else await lanes.add(event.entity, { text: event.text, line, done });
      progress.at(end);
      if (performance.now() - savedAt < SAVE_INTERVAL_MS) continue;
      savedAt = performance.now();
      await checkpoint.save(watermark.value);
    }
    await lanes.finish();
    checkpoint.remove();
  } catch (error) {
    await checkpoint.save(watermark.value).catch(() => {});
    throw error;
  } finally {
    progress.stop();
  }
  return result;
}

/** A line without an id gets one of its place and content, so that a repetition is recognised. */
function eventOf(
  text: string,
  line: number,
  refuse: (line: number, why: string) => void,
): { entity: string; text: string } | undefined {
  try {
    const event: unknown = JSON.parse(text);
    if (typeof event === 'object' && event !== null && !Array.isArray(event)) {
      const { id, entity } = event as Record<string, unknown>;
      if (id !== undefined) return { entity: String(entity), text };
      const made = createHash('sha256').update(`${line}\n${text}`).digest('base64url');
      const withId = { id: `import-${made.slice(0, 32)}`, ...event };
      return { entity: String(entity), text: JSON.stringify(withId) };
    }
    refuse(line, 'the line is not a JSON object');
  } catch (error) {
    if (error instanceof CommandError) throw error;
    refuse(line, `the line is not JSON: ${error instanceof Error ? error.message : error}`);
  }
  return undefined;
}

async function sizeOf(file: string): Promise<number> {
  try {
    const found = await stat(file);
    if (found.isFile()) return found.size;
  } catch {
    // told below
  }
  throw new CommandError(`There is no file ${file}.`, EXIT.notFound);
}

function stateDir(): string {
  return join(process.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'memplane');
}

/** A bar at a terminal, a line now and then elsewhere; always on standard error. */
class Progress {
  readonly #size: number;
  readonly #result: ImportResult;
  readonly #startedAt = performance.now();
  readonly #bar: SingleBar | undefined;
  #toldAt = performance.now();

  constructor(size: number, from: number, result: ImportResult) {
    this.#size = size;
    this.#result = result;
    if (process.stderr.isTTY !== true) return;
    const format = '{bar} {percentage}%  {lines} lines  {rate}/s  {eta_formatted} left';
    this.#bar = new SingleBar({ format, stream: process.stderr, hideCursor: true, etaBuffer: 200 });
    this.#bar.start(size, from, { lines: 0, rate: 0 });
  }

  at(offset: number): void {
    const now = performance.now();
    const rate = Math.round((this.#result.lines * 1000) / Math.max(1, now - this.#startedAt));
    if (this.#bar) {
      this.#bar.update(offset, { lines: this.#result.lines, rate });
    } else if (now - this.#toldAt > TELL_INTERVAL_MS) {
      this.#toldAt = now;
      const percent = Math.floor((100 * offset) / Math.max(1, this.#size));
      const leftS = Math.ceil(((now - this.#startedAt) * (this.#size - offset)) / offset / 1000);
      console.error(`${percent}%  ${this.#result.lines} lines  ${rate}/s  ${leftS} s left`);
    }
  }

  stop(): void {
    this.#bar?.stop();
  }
}
