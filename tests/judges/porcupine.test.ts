import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { figure, Plane, ScratchFolder, type Seeded, scaled, testSeed } from '@memplane/testkit';
import { judge, PORCUPINE_FOLDER, porcupine } from './porcupine.ts';
import { StrongLoad, type StrongTarget } from './strong-load.ts';

const HISTORIES = scaled('histories', { ci: 10, soak: 200 });
const OPERATIONS = scaled('history_operations', { ci: 300, soak: 2_000 });
const CLIENTS = 16;
const TTL_MS = 250;
const KILLS_MAX = 2;

test('the judge rejects stale reads, lost appends, two holders and tokens that go back', () => {
  const args = ['test', '-count=1', '-v', './...'];
  const { status, stdout } = spawnSync('go', args, { cwd: PORCUPINE_FOLDER, encoding: 'utf8' });
  assert.equal(status, 0, stdout);
  for (const planted of [
    'a_stale_read',
    'a_lost_append',
    'two_holders',
    'a_token_that_went_back',
  ]) {
    assert.match(stdout, new RegExp(`--- PASS: TestJudge/${planted} `));
  }
});

test(`${HISTORIES} histories of ${OPERATIONS} operations are linearizable, with kill -9`, async () => {
  const command = await porcupine();
  const random = testSeed('histories');
  using folder = new ScratchFolder('histories');
  const zones = join(folder.path, 'zones.yaml');
  writeFileSync(zones, 'zones: [{match: "session/*", consistency: strong}]\n');
  const dataDir = join(folder.path, 'data');
  const running = { plane: await Plane.start({ dataDir, env: { MEMPLANE_ZONES: zones } }) };
  const target: StrongTarget = {
    ingest: () => running.plane.ingest,
    materializer: () => running.plane.materializer,
  };
  let operations = 0;
  let unknown = 0;
  try {
    for (let number = 0; number < HISTORIES; number++) {
      const seeded = random.fork(number);
      const options = {
        clients: CLIENTS,
        operations: OPERATIONS,
        name: `h${number}`,
        ttlMs: TTL_MS,
      };
      const load = new StrongLoad(target, options);
      const loading = load.run(seeded);
      try {
        await Promise.all([loading, killUnder(running, loading, seeded.fork(CLIENTS))]);
      } catch (error) {
        throw new Error(`history ${number}: ${running.plane.logTail()}`, { cause: error });
      }
      const verdict = judge(command, load.history);
      const log = running.plane.logTail();
      assert.deepEqual([verdict.illegal, verdict.undecided], [[], []], `history ${number}\n${log}`);
      assert.equal(verdict.operations, load.history.length);
      operations += verdict.operations;
      unknown += load.history.filter(({ result }) => result === 'unknown').length;
      if (number === 0) assert.ok(seesPlantedFault(command, load), 'a fault in it is seen');
    }
  } finally {
    await running.plane[Symbol.asyncDispose]();
  }
  figure('linearizability: histories', HISTORIES);
  figure('linearizability: operations', operations);
  figure('linearizability: operations whose end nobody knows', unknown);
});

async function killUnder(
  running: { plane: Plane },
  loading: Promise<void>,
  random: Seeded,
): Promise<void> {
  let isLoaded = false;
  const ended = loading.finally(() => {
    isLoaded = true;
  });
  for (let kills = random.int(0, KILLS_MAX); kills > 0; kills--) {
    await Promise.race([ended, pause(random.int(50, 600))]);
    if (isLoaded) return;
    await running.plane.kill();
    running.plane = await running.plane.again();
  }
}

/** Shows the judge the same history with one answer changed: a read that goes back. */
function seesPlantedFault(command: string, load: StrongLoad): boolean {
  const at = load.history.findLastIndex(({ op, sequence = 0 }) => op === 'read' && sequence > 1);
  const changed = load.history.map((operation, index) =>
    index === at ? { ...operation, sequence: 0, last: '' } : operation,
  );
  return at >= 0 && judge(command, changed).illegal.length === 1;
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
