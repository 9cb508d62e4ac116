import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ScratchFolder } from '@memplane/testkit';

/**
 * A judge that never saw a bug may be blind. Here the real code gets one bug at a time, and the
 * judge of that part must fail. Judges that look at a plane from outside are shown lies of a proxy
 * beside their tests as well; the CRDT laws have more bugs in `laws.test.ts`.
 */
interface Planted {
  readonly bug: string;
  /** The source file, from the repository's root, and the piece of it that is changed. */
  readonly file: string;
  readonly right: string;
  readonly wrong: string;
  readonly judge: string;
  /** Which tests of the judge are run; all without it. */
  readonly pattern?: string;
  readonly counts?: Readonly<Record<string, number>>;
}

const PLANTED: readonly Planted[] = [
  {
    bug: 'a filter that does not take a missing value for null',
    file: 'packages/filter/src/compile.ts',
    right: 'return (value) => value === null || value === undefined;\n  if (typeof wanted',
    wrong: 'return (value) => value === null;\n  if (typeof wanted',
    judge: 'packages/filter/src/filter.test.ts',
    pattern: 'agrees with the naive evaluator',
  },
  {
    bug: 'a filter whose $not is forgotten',
    file: 'packages/filter/src/compile.ts',
    right: 'return (document) => !matches(document);',
    wrong: 'return (document) => matches(document);',
    judge: 'packages/filter/src/filter.test.ts',
    pattern: 'agrees with the naive evaluator',
  },
  {
    bug: 'a merge patch whose null stays as a value',
    file: 'packages/contracts/src/merge-patch.ts',
    right: 'delete result[key];',
    wrong: 'setMember(result, key, null);',
    judge: 'packages/contracts/src/merge-patch.test.ts',
    pattern: "RFC's own cases",
  },
  {
    bug: 'a clock that does not take in what it receives',
    file: 'packages/clock/src/hybrid-clock.ts',
    right: 'if (stamp > this.#last) this.#last = stamp;',
    wrong: '',
    judge: 'packages/clock/src/hybrid-clock.test.ts',
    pattern: 'equal those of the paper',
  },
  {
    bug: 'a clock that goes back at a restart',
    file: 'packages/clock/src/hybrid-clock.ts',
    right: 'if (floor > this.#last) {',
    wrong: 'if (floor < this.#last) {',
    judge: 'packages/clock/src/hybrid-clock.test.ts',
    pattern: 'restart never goes back',
  },
  {
    bug: 'a duplicate filter that lets a second copy in',
    file: 'services/materializer/src/domain/apply-batch.ts',
    right: "? 'duplicates' : 'rejected';",
    wrong: "? 'applied' : 'rejected';",
    judge: 'services/materializer/src/views.test.ts',
    pattern: 'equal a naive fold',
  },
  {
    bug: 'a set whose removed elements come back with a late delta',
    file: 'packages/crdt/src/or-set.ts',
    right: 'if (!hasLost(mine, theirs, theirContext) && !hasFresh(theirs, context)) return mine;',
    wrong: `const late = theirs.filter((dot) => !hasDot(mine, dot));
    if (late.length > 0) return [...mine, ...late].sort(compareDots);`,
    judge: 'packages/crdt/src/laws.test.ts',
  },
  {
    bug: 'a comparison of sets in pieces that takes for removed what the other has never seen',
    file: 'services/crdt-sync/src/domain/replication/piece-differences.ts',
    right: 'containsDot(theirs.context, dot) && !hasDot(dots, dot)',
    wrong: '!hasDot(dots, dot)',
    judge: 'services/crdt-sync/src/domain/replication/comparing-pieces.test.ts',
    pattern: 'even after random changes',
  },
  {
    bug: 'a murmur2 that shifts with the sign',
    file: 'packages/event-log/src/murmur2.ts',
    right: 'k ^= k >>> 24;',
    wrong: 'k ^= k >> 24;',
    judge: 'packages/event-log/src/murmur2.test.ts',
  },
  {
    bug: 'an ingest that forgets the ids it has seen, under kill -9',
    file: 'services/event-ingest/src/domain/recent-ids.ts',
    right: 'get(idKey: string): FirstAppend | undefined {',
    wrong: "get(idKey: string): FirstAppend | undefined {\n    if (idKey !== '') return undefined;",
    judge: 'tests/faults/crash-rounds.test.ts',
    counts: { MEMPLANE_TEST_CRASH_ROUNDS: 3 },
  },
  {
    bug: 'a read that does not wait for its token',
    file: 'services/materializer/src/reads/cuts.ts',
    right: 'if (shard.applied >= offset) continue;',
    wrong: 'if (shard.applied >= -1) continue;',
    judge: 'tests/e2e/read-your-writes.test.ts',
    pattern: 'none stale',
    counts: { MEMPLANE_TEST_ROUND_TRIPS: 1_000 },
  },
  {
    bug: 'a time cut that does not wait until it is settled',
    file: 'services/materializer/src/reads/cuts.ts',
    right: 'if (shard.record.maxHlc > limit) return;',
    wrong: 'if (shard.record.maxHlc > -1n) return;',
    judge: 'tests/e2e/as-of-search.test.ts',
    pattern: 'a cut by time',
  },
  {
    bug: 'a port that two planes can listen on',
    file: 'packages/runtime/src/http-server.ts',
    right: 'port, exclusive: true }',
    wrong: 'port, exclusive: true, reusePort: true }',
    judge: 'tests/e2e/second-plane.test.ts',
    pattern: 'a second plane',
  },
  {
    bug: 'a full disk that is not called full',
    file: 'packages/event-log/src/embedded/errors.ts',
    right: "new Set(['ENOSPC', 'EDQUOT'])",
    wrong: 'new Set<string>([])',
    judge: 'tests/faults/disk.test.ts',
    pattern: 'a full disk',
  },
  {
    bug: 'a leak of 8 kB an event',
    file: 'packages/clock/src/hybrid-clock.ts',
    right: 'tick(): Hlc {',
    wrong: `tick(): Hlc {
    ((globalThis as Record<string, unknown>)['leak'] ??= []).push(new Array(1_000).fill(0.5));`,
    judge: 'tests/soak/memory.test.ts',
    counts: { MEMPLANE_TEST_MEMORY_EVENTS: 20_000, MEMPLANE_TEST_MEMORY_VECTORS: 500 },
  },
  {
    bug: 'an operation id that counts again',
    file: 'services/crdt-sync/src/domain/apply.ts',
    right: 'const { outcome, opId, by } = command;',
    wrong:
      'const { outcome, by, opId = undefined as string | undefined } = { ...command, opId: undefined };',
    judge: 'tests/judges/resp-clients.test.ts',
    pattern: 'redis-cli counts',
  },
  {
    bug: 'a CRDT.AFTER that does not wait',
    file: 'services/crdt-sync/src/resp/connection.ts',
    right: 'if (await waitUntilCovered(engine, needs, end.signal)) return',
    wrong: 'if (needs.size >= 0 || (await waitUntilCovered(engine, needs, end.signal))) return',
    judge: 'tests/judges/resp-clients.test.ts',
    pattern: 'programs on',
  },
  {
    bug: 'a RESP parser without a limit',
    file: 'services/crdt-sync/src/resp/connection.ts',
    right: 'new RespParser(options.resp_command_bytes_max)',
    wrong: 'new RespParser(Number.POSITIVE_INFINITY)',
    judge: 'tests/judges/resp-fuzz.test.ts',
    pattern: 'any bytes',
    counts: { MEMPLANE_TEST_RESP_FUZZ_SECONDS: 6 },
  },
  {
    bug: 'a RESP parser that loses its place between two packets',
    file: 'services/crdt-sync/src/resp/parser.ts',
    right: 'this.#at = start;',
    wrong: '',
    judge: 'tests/judges/resp-fuzz.test.ts',
    pattern: 'any bytes',
    counts: { MEMPLANE_TEST_RESP_FUZZ_SECONDS: 6 },
  },
  {
    bug: 'a RESP connection that takes any number of commands with long answers',
    file: 'services/crdt-sync/src/resp/connection.ts',
    right: 'this.#weight >= resp_pipeline_commands_max ||',
    wrong: '',
    judge: 'tests/judges/resp-peers.test.ts',
    pattern: 'who does not read',
  },
];

const root = fileURLToPath(new URL('../../', import.meta.url));
const only = process.env['MEMPLANE_PLANTED'];

for (const one of PLANTED.filter(({ bug }) => only === undefined || bug.includes(only))) {
  test(`${one.judge} notices ${one.bug}`, () => {
    using folder = new ScratchFolder('planted');
    const mark = join(folder.path, 'mark');
    const { status, output } = judged(one, mark);
    const marks = existsSync(mark) ? readFileSync(mark, 'utf8') : '';
    const end = output.slice(-8_000);
    assert.ok(marks.includes('planted'), `nothing was planted in ${one.file}:\n${end}`);
    assert.ok(!marks.includes('not there'), `${one.file} has changed: plant anew`);
    assert.notEqual(status, 0, `nobody noticed:\n${end}`);
    // Noticed by its effect, not since the changed code does not run at all.
    assert.doesNotMatch(output, /the plane ended|not ready in|SyntaxError|ReferenceError/);
    assert.match(output, /AssertionError|ERR_ASSERTION|Property failed|expected \d+, got \d+/);
  });
}

function judged(planted: Planted, mark: string): { status: number | null; output: string } {
  const { file, right, wrong, judge, pattern, counts } = planted;
  const env: Record<string, string | undefined> = {
    ...process.env,
    NODE_OPTIONS: `--import=${join(root, 'tests/judges/planted/plant.ts')}`,
    MEMPLANE_ENTRY: join(root, 'packages/standalone/src/memplane.ts'),
    MEMPLANE_TEST_SCALE: 'ci',
    PLANT_FILE: file,
    PLANT_FROM: right,
    PLANT_TO: wrong,
    PLANT_MARK: mark,
  };
  for (const [name, count] of Object.entries(counts ?? {})) env[name] = String(count);
  // Else the judge would report to this run.
  delete env['NODE_TEST_CONTEXT'];
  const args = ['--test', '--test-reporter=tap'];
  if (pattern !== undefined) args.push(`--test-name-pattern=${pattern}`);
  const options = { cwd: root, env, encoding: 'utf8' as const, timeout: 240_000 };
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args, judge], options);
  return { status, output: `${stdout}\n${stderr}` };
}
