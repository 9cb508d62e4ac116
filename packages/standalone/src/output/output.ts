import Table from 'cli-table3';

/** Where a command's result goes. */
export interface OutputOptions {
  readonly json: boolean;
}

type Cell = string | number | boolean | null | undefined;

/**
 * Writes results to standard output: one JSON document (or one line per record) with `--json`, a
 * table for people at a terminal, tab-separated lines elsewhere.
 */
export class Output {
  readonly #json: boolean;
  readonly #isTerminal: boolean;

  constructor(options: OutputOptions) {
    this.#json = options.json;
    this.#isTerminal = process.stdout.isTTY === true;
  }

  get isTerminal(): boolean {
    return this.#isTerminal && !this.#json;
  }

  get isJson(): boolean {
    return this.#json;
  }

  /** The whole result: as it came for programs, as `show` says for people. */
  document(value: unknown, show: () => void): void {
    if (this.#json) this.line(JSON.stringify(value));
    else show();
  }

  /** One of many records. */
  record(value: unknown, show: () => void): void {
    this.document(value, show);
  }

  table(head: readonly string[], rows: readonly (readonly Cell[])[]): void {
    if (!this.#isTerminal) {
      for (const row of [head, ...rows]) this.line(row.map(plain).join('\t'));
      return;
    }
    const table = new Table({
      head: [...head],
      style: { head: ['bold'], border: ['grey'], compact: true },
      wordWrap: true,
      colWidths: widths(head, rows, process.stdout.columns ?? 100),
    });
    for (const row of rows) table.push(row.map((cell) => clean(textOf(cell))));
    this.line(table.toString());
  }

  line(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  /** Waits for a slow reader, so that a long list needs no memory. */
  async drained(): Promise<void> {
    if (!process.stdout.writableNeedDrain) return;
    await new Promise((resolve) => process.stdout.once('drain', resolve));
  }
}

function textOf(cell: Cell): string {
  return cell === undefined || cell === null ? '' : String(cell);
}

/** One field of a tab-separated line. */
function plain(cell: Cell): string {
  return clean(textOf(cell))
    .replaceAll('\\', '\\\\')
    .replaceAll('\t', '\\t')
    .replaceAll('\n', '\\n');
}

/** What agents stored must not steer a terminal: control characters are shown, not obeyed. */
export function clean(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (char) =>
    char === '\r' ? '' : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

/** Shares the terminal's width: narrow columns get what they need, wide ones what is left. */
function widths(
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  terminalColumns: number,
): number[] {
  const wanted = head.map(
    (title, i) => Math.max(title.length, ...rows.map((row) => longestLine(textOf(row[i])))) + 2,
  );
  let room = terminalColumns - head.length - 1;
  let open = head.length;
  const result = new Array<number>(head.length).fill(0);
  const byWidth = wanted.map((width, i) => ({ width, i })).sort((a, b) => a.width - b.width);
  for (const { width, i } of byWidth) {
    const share = Math.max(6, Math.floor(room / open));
    result[i] = Math.min(width, share);
    room -= result[i] ?? 0;
    open--;
  }
  return result;
}

function longestLine(text: string): number {
  return Math.max(...text.split('\n').map((line) => line.length));
}
