/**
 * `make soak`: the tests at their full counts, one file after the other, and a report of them with
 * date, commit, seeds and figures under docs/reports/. Takes an hour or more.
 *
 *     node tests/soak/run.ts [part of a file name …]
 */
import { execFileSync, spawn } from 'node:child_process';
import { globSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const wanted = process.argv.slice(2);

interface Outcome {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly seconds: number;
  readonly notes: readonly string[];
}

const FILES = [
  'tests/{dialogues,e2e,faults,helm,kubernetes,replicas,soak,judges,stack,upgrade}/*.test.ts',
  'services/*/src/**/{differential,emptied-redis,owner-faults,views-topic}.stack.test.ts',
  'services/event-ingest/src/domain/strong/simulated-strong.test.ts',
  'services/*/src/{archive-owners,view-publisher}.test.ts',
  'packages/crdt/src/simulation.test.ts',
  'services/crdt-sync/src/domain/replication/comparing-pieces.test.ts',
  'packages/gossip/src/{chaos,failure-detection,fuzz}.test.ts',
];
const files = globSync(FILES, { cwd: root })
  .sort()
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)));
const outcomes: Outcome[] = [];
for (const file of files) {
  console.log(`== ${file}`);
  outcomes.push(await runFile(file));
}
const report = reportOf(outcomes);
const scale = process.env['MEMPLANE_TEST_SCALE'] ?? 'soak';
const folder = `${root}docs/reports/`;
mkdirSync(folder, { recursive: true });
const path = `${folder}${new Date().toISOString().slice(0, 10)}-${scale}.md`;
writeFileSync(path, report);
console.log(report);
console.log(`written to ${path}`);
process.exitCode = outcomes.some((outcome) => outcome.failed > 0) ? 1 : 0;

async function runFile(file: string): Promise<Outcome> {
  const started = performance.now();
  const env = { MEMPLANE_TEST_SCALE: 'soak', MEMPLANE_TEST_REPORTER: 'tap', ...process.env };
  // Those of the distributed plane are run beside a stack of their own.
  const how = file.startsWith('tests/stack/')
    ? ['tests/stack/run.ts', file]
    : file.endsWith('.stack.test.ts')
      ? ['packages/stack/src/test-stack.ts', file]
      : ['--test', '--test-reporter=tap', file];
  const child = spawn(process.execPath, how, { cwd: root, env });
  let output = '';
  const keep = (part: Buffer) => {
    output += part.toString();
    process.stdout.write(part);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const count = (name: string) =>
    Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(output)?.[1] ?? 0);
  const failed = count('fail') + count('cancelled');
  return {
    file,
    passed: count('pass'),
    failed: code === 0 ? failed : Math.max(1, failed),
    seconds: Math.round((performance.now() - started) / 1000),
    notes: output
      .split('\n')
      .filter((line) => /# .*(figure: |: seed \d)/.test(line))
      .map((line) => line.replace(/^[\s\\#]+/g, '').replace(/^figure: /, '')),
  };
}

function reportOf(results: readonly Outcome[]): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  const changed =
    git('status', '--porcelain', '--untracked-files=no') === '' ? '' : ', with changes';
  const failed = results.filter((one) => one.failed > 0).length;
  const lines = [
    `# Tests at their ${process.env['MEMPLANE_TEST_SCALE'] === 'ci' ? 'CI' : 'full'} counts`,
    '',
    `- date: ${new Date().toISOString()}`,
    `- commit: ${git('rev-parse', 'HEAD')}${changed}`,
    `- machine: ${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
    `- result: ${failed === 0 ? 'all passed' : `${failed} files failed`}`,
    '',
    '| file | passed | failed | seconds |',
    '|---|---:|---:|---:|',
    ...results.map((one) => `| ${one.file} | ${one.passed} | ${one.failed} | ${one.seconds} |`),
    '',
  ];
  for (const one of results) {
    if (one.notes.length === 0) continue;
    lines.push(
      `## ${basename(one.file, '.test.ts')}`,
      '',
      ...one.notes.map((note) => `- ${note}`),
      '',
    );
  }
  return lines.join('\n');
}
