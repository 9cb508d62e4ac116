/**
 * `make bench`: every benchmark, one after the other, each with its own details, and at the end one
 * table of what was measured against which goal, which is also kept under docs/reports/. Fails when
 * a benchmark fails; a missed goal is a line of the table, not a failure.
 *
 *     node benchmarks/run.ts [--report NAME] [name …]
 *
 * A report is written where all run, or where it is given a name.
 * `MEMPLANE_BENCH_SHORT=1` makes everything small, to see that it works; no report is written then.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Row, SHORT, tableOf } from './lib/row.ts';

/** Milvus alone takes a quarter of an hour to index 100,000 vectors three times on two cores. */
const TIMEOUT_MS = 60 * 60_000;
const folder = fileURLToPath(new URL('./', import.meta.url));
const root = fileURLToPath(new URL('../', import.meta.url));
const all = [
  'event-log',
  'ingest',
  'apply',
  'as-of',
  'restart',
  'vectors',
  'search',
  'visible',
  'crdt-incr',
  'first-run',
];
const { values, positionals: wanted } = parseArgs({
  options: { report: { type: 'string' } },
  allowPositionals: true,
});
const reportName = values.report ?? (wanted.length === 0 ? 'bench' : undefined);
const gigabytes = Math.round(totalmem() / 2 ** 30);
const machine = `${cpus().length} × ${cpus()[0]?.model}, ${gigabytes} GiB, Node ${process.version}`;

console.log(machine);
const started = new Date();
const loads = [loadavg()[0] ?? 0];
const rows: Row[] = [];
const failed: string[] = [];
const scratch = mkdtempSync(join(tmpdir(), 'memplane-bench-rows-'));
for (const name of wanted.length > 0 ? wanted : all) {
  console.log(`\n== ${name}`);
  const file = join(scratch, name);
  if ((await run(`${folder}${name}.ts`, file)) !== 0) failed.push(name);
  if (existsSync(file)) rows.push(...readRows(file));
  loads.push(loadavg()[0] ?? 0);
}
rmSync(scratch, { recursive: true });

const report = reportOf();
console.log(`\n${report}`);
if (!SHORT && reportName !== undefined) {
  mkdirSync(`${root}docs/reports`, { recursive: true });
  const path = `docs/reports/${started.toISOString().slice(0, 10)}-${reportName}.md`;
  writeFileSync(root + path, report);
  console.log(`written to ${path}`);
}
process.exitCode = failed.length > 0 ? 1 : 0;

/** Runs one benchmark; one that takes far too long is ended. */
function run(script: string, rowsFile: string): Promise<number | null> {
  const child = spawn(process.execPath, [script], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...builtEntry(), ...process.env, MEMPLANE_BENCH_ROWS: rowsFile },
    timeout: TIMEOUT_MS,
  });
  return new Promise((resolve) => child.once('close', resolve));
}

/** Planes run from what `make build` made, also when a source is touched while this goes on. */
function builtEntry(): Record<string, string> {
  const built = `${root}dist/memplane.js`;
  return existsSync(built) ? { MEMPLANE_ENTRY: built } : {};
}

function readRows(file: string): Row[] {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Row);
}

function reportOf(): string {
  const notes = rows.flatMap(({ what, note }) =>
    note === undefined ? [] : [`- ${what}: ${note}`],
  );
  const seeds = [...new Set(rows.flatMap((row) => row.seeds ?? []))];
  const load = `${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`;
  const lines = [
    '# Benchmarks',
    '',
    `- date: ${started.toISOString()}, ${Math.round((Date.now() - started.getTime()) / 60_000)} minutes`,
    `- commit: ${commit()}`,
    `- machine: ${machine}; load average between the benchmarks ${load}`,
    `- seeds: ${seeds.join('; ')}`,
    '',
    'Measured is the median of the rounds ± half the distance between the quartiles. A ratio is',
    'taken round by round, both sides in turn.',
    '',
    tableOf(rows),
    '',
    ...(notes.length > 0 ? [...notes, ''] : []),
    ...(failed.length > 0 ? [`Failed, and so not in the table: ${failed.join(', ')}.`, ''] : []),
  ];
  return lines.join('\n');
}

function commit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: 'pipe' }).trim();
    const changed = git('status', '--porcelain', '--untracked-files=no') !== '';
    return `${git('rev-parse', 'HEAD')}${changed ? ', with changes' : ''}`;
  } catch {
    return 'unknown (no git here)';
  }
}
