import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  type AppendAnswer,
  call,
  eventually,
  Plane,
  planeDigests,
  portsInRow,
  ScratchFolder,
  SERVICE_NAMES,
} from '@memplane/testkit';
import { FreezableFolder } from '../faults/broken-disk.ts';
import { Prometheus, type Target } from './prometheus.ts';
import { Runbook } from './runbook.ts';

// Each alert fires for the reason that it is there for, on real processes; its runbook is followed;
// it clears. The rules are those of ops/, evaluated by Prometheus itself.
const root = path.resolve(import.meta.dirname, '../..');
const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;

test('each rule has its page, and each page its rule', () => {
  const rules = readFileSync(path.join(root, 'ops/prometheus/rules.yaml'), 'utf8');
  const named = [...rules.matchAll(/- alert: (\w+)[\s\S]*?runbook: (\S+)/g)];
  assert.equal(named.length, rules.match(/- alert: /g)?.length);
  for (const [, alert = '', page = ''] of named) {
    assert.ok(readFileSync(path.join(root, page), 'utf8').startsWith(`# ${alert}\n`), page);
  }
  const pages = globSync('docs/runbooks/*.md', { cwd: root }).filter(
    (it) => !it.endsWith('README.md'),
  );
  assert.deepEqual(pages.sort(), named.map(([, , page]) => page).sort());
});

describe('the alerts', () => {
  const scratch = new ScratchFolder('alerts');
  const folder = new FreezableFolder();
  const clock = path.join(scratch.path, 'clock');
  let plane: Plane;
  let prometheus: Prometheus;
  let env: Record<string, string>;
  let n = 0;

  before(async () => {
    writeFileSync(clock, '0');
    plane = await Plane.start({
      dataDir: folder.path,
      ports: await portsInRow(),
      readyTimeoutMs: 180_000,
      env: {
        MEMPLANE_RECENT_IDS_MAX: '1',
        MEMPLANE_ARCHIVE_POLL_MS: '100',
        MEMPLANE_ARCHIVE_INTERVAL_MS: '200',
        MEMPLANE_ARCHIVE_TICK_MS: '50',
        MEMPLANE_ARCHIVE_LAG_BYTES_MAX: String(MIB),
        MEMPLANE_TEST_CLOCK_FILE: clock,
        NODE_OPTIONS: `--import=${path.join(import.meta.dirname, 'stepped-clock.mjs')}`,
      },
    });
    prometheus = await Prometheus.start(path.join(scratch.path, 'tsdb'), targetsOf(plane));
    env = {
      MEMPLANE_URL: plane.ingest,
      MEMPLANE_CRDT_URL: plane.crdt,
      MEMPLANE_DATA_DIR: folder.path,
      MEMPLANE_ARCHIVE_LAG_BYTES_MAX: String(MIB),
      MEMPLANE_EVENT_INGEST_PORT: String(plane.ports['event-ingest']),
      MEMPLANE_MATERIALIZER_PORT: String(plane.ports.materializer),
      MEMPLANE_CRDT_SYNC_PORT: String(plane.ports['crdt-sync']),
      MEMPLANE_VECTOR_INDEX_PORT: String(plane.ports['vector-index']),
      MEMPLANE_RESP_PORT: String(plane.ports.resp),
    };
  });
  after(async () => {
    await prometheus[Symbol.asyncDispose]();
    await plane[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
    scratch[Symbol.dispose]();
  });

  const runbook = (page: string) => new Runbook(page, path.join(scratch.path, 'bin'), env);
  const append = (body: unknown) =>
    call<AppendAnswer>('POST', `${plane.ingest}/v1/events`, { body, timeoutMs: 60_000 });
  const events = (count: number, data = '') =>
    Array.from({ length: count }, (_, i) => ({
      ...{ id: `e${n++}`, type: 'Said', entity: `user/${i % 40}`, data },
    }));
  const freeze = (part: string) =>
    execFileSync('chattr', ['-R', '+i', path.join(folder.path, part)]);
  /** The page is followed from the firing alert until it is over, and the alert clears. */
  const follow = async (
    alert: string,
    page: string,
    confirmed: RegExp,
    act: () => Promise<unknown> = async () => {},
    between?: () => Promise<unknown>,
  ) => {
    const book = runbook(page);
    assert.match(await book.run('confirm'), confirmed);
    await book.run('act');
    await act();
    await book.run('over');
    await prometheus.until(alert, false, 30, between);
  };

  test('nothing fires while all is well', async () => {
    assert.equal((await append(events(40))).status, 201);
    await planeDigests(plane);
    for (let i = 0; i < 10; i++) assert.deepEqual(await prometheus.round(), []);
  });

  test('MemplaneCommitsFail: the folder of crdt-sync can not be written', async () => {
    const increment = () =>
      call('POST', `${plane.crdt}/v1/counters/tasks/increments`, { body: { by: 1 } });
    await increment();
    freeze('crdt');
    await prometheus.until('MemplaneCommitsFail', true, 10, increment);
    await follow('MemplaneCommitsFail', 'commits-fail.md', /crdt_storage/);
    assert.equal((await increment()).status, 200);
  });

  test('MemplaneViewsPaused and MemplaneViewsBehind: the views can not be written', async () => {
    freeze('views');
    for (let i = 0; i < 11; i++) assert.equal((await append(events(1_000))).status, 201);
    await prometheus.until('MemplaneViewsPaused', true, 5);
    await prometheus.until('MemplaneViewsBehind', true, 10);
    assert.match(await runbook('views-behind.md').run('confirm'), /shard_paused|shard_lagging/);
    await follow('MemplaneViewsPaused', 'views-paused.md', /shard_paused/);
    await follow('MemplaneViewsBehind', 'views-behind.md', /./);
    await planeDigests(plane);
  });

  test('MemplaneArchiveBehind: the archive can not be written', async () => {
    freeze('archive');
    // Beyond the whole of it appends are refused: 429.
    await eventually('the archive is too far behind', 60_000, async () => {
      const { status } = await append(events(10, 'x'.repeat(25_000)));
      return status === 429 || undefined;
    });
    await prometheus.until('MemplaneArchiveBehind', true, 20, () => pause(50));
    await follow('MemplaneArchiveBehind', 'archive-behind.md', /archive_(lagging|behind)/);
  });

  test('MemplaneErrors: the log can not be written', async () => {
    const one = () => append(events(1));
    freeze('log');
    await eventually(
      'appends are refused',
      60_000,
      async () => (await one()).status === 503 || undefined,
    );
    await prometheus.until('MemplaneErrors', true, 15, one);
    await follow('MemplaneErrors', 'errors.md', /"code":"storage_/, undefined, one);
  });

  test('MemplaneIdsReused: an id comes again with other content, late', async () => {
    const event = { id: 'reused', type: 'Noted', entity: 'user/ids' };
    await prometheus.round();
    for (const [i, drink] of ['tea', 'coffee'].entries()) {
      assert.equal((await append({ ...event, attributes: { drink } })).status, 201);
      await append({ id: `between-${i}`, type: 'Noted', entity: 'user/ids' });
    }
    await planeDigests(plane);
    await prometheus.until('MemplaneIdsReused', true, 5);
    await follow('MemplaneIdsReused', 'ids-reused.md', /"reused"/);
  });

  test('MemplaneClockAhead: a clock that was ahead is put back', async () => {
    writeFileSync(clock, String(HOUR_MS));
    assert.equal((await append(events(1))).status, 201);
    writeFileSync(clock, '0');
    await prometheus.until('MemplaneClockAhead', true, 10);
    const book = runbook('clock-ahead.md');
    assert.match(await book.run('confirm'), /clock_ahead/);
    await book.run('act');
    // The hour passes.
    writeFileSync(clock, String(HOUR_MS + 60_000));
    await prometheus.until('MemplaneClockAhead', false, 10);
    writeFileSync(clock, String(HOUR_MS));
  });

  test('MemplaneInstanceDown: the plane is killed', async () => {
    await plane.kill();
    await prometheus.until('MemplaneInstanceDown', true, 5);
    await follow('MemplaneInstanceDown', 'instance-down.md', /service_unreachable|answers/);
    // What the page has started is nobody's child here.
    const pid = Number(readFileSync(path.join(folder.path, 'memplane.pid'), 'utf8'));
    process.kill(pid);
    await eventually('it has ended', 60_000, async () => !isAlive(pid) || undefined);
  });
});

const targetAt = (job: string, url: string): Target => ({ job, instance: new URL(url).host, url });
const targetsOf = (plane: Plane) => SERVICE_NAMES.map((name) => targetAt(name, plane.url(name)));
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
