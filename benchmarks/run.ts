/**
 * `make bench`: every benchmark, one after the other, each with its own table, goals and ratios,
 * under one heading that says on which machine. Fails when one of them fails.
 *
 *     node benchmarks/run.ts [name …]
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('./', import.meta.url));
const all = ['event-log', 'ingest', 'apply', 'vectors', 'crdt-incr'];
const wanted = process.argv.slice(2);
const gigabytes = Math.round(totalmem() / 2 ** 30);

console.log(`${cpus().length} × ${cpus()[0]?.model}, ${gigabytes} GiB, Node ${process.version}`);
const failed: string[] = [];
for (const name of wanted.length > 0 ? wanted : all) {
  console.log(`\n== ${name}`);
  if (!existsSync(`${folder}${name}.ts`) || (await run(`${folder}${name}.ts`)) !== 0) {
    failed.push(name);
  }
}
if (failed.length > 0) console.error(`\nfailed: ${failed.join(', ')}`);
process.exitCode = failed.length > 0 ? 1 : 0;

function run(file: string): Promise<number | null> {
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'inherit', 'inherit'] });
  return new Promise((resolve) => child.once('close', resolve));
}
