import { appendFileSync } from 'node:fs';
import type { Measured } from './rounds.ts';

/** One line of the table that `make bench` ends with. */
export interface Row {
  readonly what: string;
  /** What it was measured against in the same run; absent where the goal is a plain figure. */
  readonly against?: string;
  readonly goal: Goal;
  /** Of the figures of all rounds. */
  readonly median: number;
  /** Half the distance between the quartiles, as a part of the median. */
  readonly spread: number;
  readonly rounds: number;
  /** What the data was made from, so that the run can be repeated. */
  readonly seeds?: string;
  /** What a reader of the figure has to know. */
  readonly note?: string;
}

export interface Goal {
  readonly sign: '≥' | '≤';
  readonly value: number;
  /** Empty for a ratio. */
  readonly unit: string;
}

/** The file that rows are collected in; without it a script only prints. */
const FILE = process.env['MEMPLANE_BENCH_ROWS'];

/** Everything smaller and shorter: to see that a benchmark works, not what it measures. */
export const SHORT = process.env['MEMPLANE_BENCH_SHORT'] === '1';

export function emitRow(
  what: string,
  goal: Goal,
  measured: Pick<Measured, 'median' | 'spread' | 'values'>,
  about: Pick<Row, 'against' | 'seeds' | 'note'> = {},
): void {
  const { median, spread, values } = measured;
  const row: Row = { what, goal, median, spread, rounds: values.length, ...about };
  if (FILE !== undefined) appendFileSync(FILE, `${JSON.stringify(row)}\n`);
}

export const atLeast = (value: number, unit = ''): Goal => ({ sign: '≥', value, unit });
export const atMost = (value: number, unit = ''): Goal => ({ sign: '≤', value, unit });

export function isMet({ goal, median }: Row): boolean {
  return goal.sign === '≥' ? median >= goal.value : median <= goal.value;
}

/** The table, in Markdown. */
export function tableOf(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const { what, against = '–', goal, rounds } = row;
    const unit = goal.unit === '' ? '' : ` ${goal.unit}`;
    const figure = `${significant(row.median)}${unit} ± ${(row.spread * 100).toFixed(0)} %`;
    const verdict = isMet(row) ? 'met' : '**missed**';
    return `| ${what} | ${against} | ${goal.sign} ${goal.value}${unit} | ${figure} | ${rounds} | ${verdict} |`;
  });
  const head = '| what | against | goal | measured | rounds | |\n|---|---|---|---|---:|---|';
  return [head, ...lines].join('\n');
}

/** Three digits that mean something. */
function significant(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}
