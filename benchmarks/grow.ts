/**
 * `memplane partitions grow`, from 12 to 24, of a log with 10⁶ events: until log, views and index have
 * followed, and the longest time in which nothing was acknowledged of one of the old partitions, each of
 * which is written to by somebody who waits for every answer.
 *
 *     node benchmarks/grow.ts [events] [rounds]
 */
import { join } from 'node:path';
import { partitionOf } from '@memplane/event-log';
import { call, Plane, portsInRow, runCommand, ScratchFolder } from '@memplane/testkit';
import { MixedBatch } from './lib/event-bodies.ts';
import { Acknowledged, appendAll, untilApplied } from './lib/plane.ts';
import { summarize } from './lib/rounds.ts';
import { atMost, emitRow, SHORT } from './lib/row.ts';

const [EVENTS = SHORT ? 20_000 : 1_000_000, ROUNDS = SHORT ? 1 : 3] = process.argv
  .slice(2)
  .map(Number);
const BEFORE = 12;
const AFTER = 24;
const BATCH = 500;
const ENTITIES = 20_000;

const bodies = Array.from({ length: 16 }, (_, seed) => new MixedBatch(BATCH, ENTITIES, seed));

async function fill(plane: Plane): Promise<void> {
  const acknowledged = new Acknowledged();
  for (let sent = 0; sent < EVENTS; ) {
    const some = bodies.slice(0, Math.ceil((EVENTS - sent) / BATCH)).map((body) => {
      body.renumber(sent);
      sent += BATCH;
      return body.bytes;
    });
    await appendAll(plane, some, acknowledged);
    await untilApplied(plane);
  }
}

/** Appends to one partition, one event after the other. @returns the longest wait between two answers */
async function probe(plane: Plane, partition: number, isOver: () => boolean): Promise<number> {
  const entity = entityIn(partition);
  let longestMs = 0;
  for (let n = 0, last = performance.now(); !isOver(); n++) {
    const body = { id: `probe-${n}`, type: 'Probed', entity };
    const { status } = await call('POST', `${plane.ingest}/v1/events`, { body });
    if (status !== 201) continue;
    longestMs = Math.max(longestMs, performance.now() - last);
    last = performance.now();
  }
  return longestMs;
}

function entityIn(partition: number): string {
  for (let n = 0; ; n++) {
    if (partitionOf(`probe/${n}`, BEFORE) === partition) return `probe/${n}`;
  }
}

async function growOnce(): Promise<{ seconds: number; stopMs: number }> {
  using folder = new ScratchFolder('bench-grow');
  const dataDir = join(folder.path, 'data');
  await using plane = await Plane.start({ dataDir, ports: await portsInRow() });
  await fill(plane);
  let isOver = false;
  const probes = Array.from({ length: BEFORE }, (_, p) => probe(plane, p, () => isOver));
  const args = ['partitions', 'grow', '--to', String(AFTER), '--json'];
  const { code, stdout, stderr } = await runCommand(args, { url: plane.ingest });
  isOver = true;
  const longest = await Promise.all(probes);
  if (code !== 0) throw new Error(`${stdout}${stderr}`);
  const { tookMs } = JSON.parse(stdout) as { tookMs: number };
  return { seconds: tookMs / 1000, stopMs: Math.max(...longest) };
}

console.log('| events | views and index have followed | longest stop of writes |\n|---|---|---|');
const seconds: number[] = [];
const stops: number[] = [];
for (let round = 0; round < ROUNDS; round++) {
  const grown = await growOnce();
  seconds.push(grown.seconds);
  stops.push(grown.stopMs);
  console.log(`| ${EVENTS} | ${grown.seconds.toFixed(1)} s | ${grown.stopMs.toFixed(0)} ms |`);
}
const about = { seeds: 'bodies 0 to 15', note: `${EVENTS} events, 12 writers meanwhile` };
emitRow('grow 12 → 24', atMost(60, 's'), summarize('grow', seconds), about);
emitRow(
  'grow 12 → 24: longest stop of writes',
  atMost(1_000, 'ms'),
  summarize('stop', stops),
  about,
);
