/**
 * Backup and restoration of a standalone plane with 10⁶ events of about 400 bytes: each against `cp`
 * and `sha256sum` of the bytes that it wrote, and how soon the restored plane serves them.
 *
 *     node benchmarks/backup.ts [events] [rounds]
 */
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  call,
  type EntityView,
  entityPath,
  Plane,
  portsInRow,
  runCommand,
  ScratchFolder,
} from '@memplane/testkit';
import { EventBatch } from './lib/event-bodies.ts';
import { Acknowledged, appendAll, firstAnswer, folderBytes, untilApplied } from './lib/plane.ts';
import { ratio, summarize } from './lib/rounds.ts';
import { atLeast, atMost, emitRow, SHORT } from './lib/row.ts';

const EVENTS = Number(process.argv[2] ?? (SHORT ? 20_000 : 1_000_000));
const ROUNDS = Number(process.argv[3] ?? (SHORT ? 1 : 3));
const BATCH = 1_000;
const BODIES = 16;
const ENTITIES = 20_000;
/** Enough for a plane that is far too slow to be told by its figure. */
const READY_TIMEOUT_MS = 180_000;
const ENTITY = 'user/0';

const run = promisify(execFile);
using folder = new ScratchFolder('bench-backup');
const at = (name: string) => join(folder.path, name);
const ports = await portsInRow();
const plane = await Plane.start({ dataDir: at('data'), ports, readyTimeoutMs: READY_TIMEOUT_MS });
await using _plane = plane;
await fill();
await untilApplied(plane);

const figures = { backup: [0], backupCopy: [0], restore: [0], restoreCopy: [0], serving: [0] };
for (const values of Object.values(figures)) values.length = 0;
for (let round = 0; round < ROUNDS; round++) {
  const url = plane.ingest;
  figures.backup.push(await timed(() => memplane(['backup', '--to', at('place')], url)));
  figures.backupCopy.push(await copied('place'));
  const restoring = ['restore', '--from', at('place'), '--data-dir', at('new')];
  figures.restore.push(await timed(() => memplane(restoring)));
  figures.restoreCopy.push(await copied('new'));
  figures.serving.push(await served());
  await Promise.all(['place', 'new'].map((name) => rm(at(name), { recursive: true })));
}

const [backup, backupCopy, restore, restoreCopy, serving] = Object.entries(figures).map(
  ([name, values]) => summarize(name, values),
);
if (!backup || !backupCopy || !restore || !restoreCopy || !serving) throw new Error('no figures');
const against = 'cp and sha256sum of the bytes written';
const noteOf = (own: number, copy: number) => `${seconds(own)}, copied in ${seconds(copy)}`;
const events = EVENTS.toLocaleString('en');
emitRow(`backup of ${events} events`, atLeast(0.5), ratio('', backupCopy, backup), {
  against,
  note: noteOf(backup.median, backupCopy.median),
});
emitRow(`restoration of ${events} events`, atLeast(0.5), ratio('', restoreCopy, restore), {
  against,
  note: noteOf(restore.median, restoreCopy.median),
});
const inSeconds = serving.values.map((ms) => ms / 1_000);
emitRow(`restored plane serves ${events} events`, atMost(60, 's'), summarize('', inSeconds));

/** Batches of one size in ids of their own; a body under way is not touched. */
async function fill(): Promise<void> {
  const bodies = Array.from({ length: BODIES }, (_, seed) => new EventBatch(BATCH, ENTITIES, seed));
  const acknowledged = new Acknowledged();
  for (let id = 0; id < EVENTS; id += BODIES * BATCH) {
    const some = bodies.slice(0, Math.ceil((EVENTS - id) / BATCH));
    for (const [i, body] of some.entries()) body.renumber(id + i * BATCH);
    await appendAll(
      plane,
      some.map(({ bytes }) => bytes),
      acknowledged,
    );
  }
}

async function memplane(args: readonly string[], url?: string): Promise<void> {
  const { code, stderr } = await runCommand(args, url === undefined ? {} : { url });
  if (code !== 0) throw new Error(`memplane ${args[0]}: ${stderr}`);
}

async function copied(name: string): Promise<number> {
  const [from, to] = [at(name), at('copy')];
  const size = await folderBytes(from);
  const took = await timed(async () => {
    await run('cp', ['-r', from, to]);
    await run('sh', ['-c', 'find "$0" -type f -exec sha256sum {} + | tail -n 1; sync "$0"', to]);
  });
  console.log(`${name}: ${(size / 2 ** 20).toFixed(0)} MiB copied and summed in ${seconds(took)}`);
  await rm(to, { recursive: true });
  return took;
}

/** From exec until all shards are there and an entity is read. */
async function served(): Promise<number> {
  const started = performance.now();
  const restored = await Plane.start({ dataDir: at('new'), readyTimeoutMs: READY_TIMEOUT_MS });
  await using _restored = restored;
  const url = restored.materializer + entityPath(ENTITY);
  const readMs = await firstAnswer(started, () => call<EntityView>('GET', url));
  await untilApplied(restored);
  const wholeMs = performance.now() - started;
  console.log(`restored: first read after ${seconds(readMs)}, all after ${seconds(wholeMs)}`);
  return wholeMs;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

async function timed(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  const took = performance.now() - started;
  console.log(`${seconds(took)}`);
  return took;
}
