/**
 * Strong appends against eventual ones on one standalone plane, over HTTP: 64 clients, each on an
 * entity of its own, one event of about 400 bytes a time. Beside it what one strong entity takes from
 * 32 clients at once. Interleaved.
 *
 *     node benchmarks/strong-standalone.ts [rounds] [ms per run]
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Plane, ScratchFolder } from '@memplane/testkit';
import { LoadThread } from './lib/load-thread.ts';
import { interleave, ratio } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';

const [ROUNDS = SHORT ? 1 : 5, RUN_MS = SHORT ? 300 : 3_000] = process.argv.slice(2).map(Number);
const CLIENTS = 64;
const CROWD = 32;

using folder = new ScratchFolder('bench-strong-standalone');
const zones = join(folder.path, 'zones.yaml');
writeFileSync(zones, 'zones: [{match: "session/*", consistency: strong}]\n');
const env = { MEMPLANE_ZONES: zones };
await using plane = await Plane.start({ dataDir: join(folder.path, 'data'), env });

const single = { events_per_request: 1, ownEntity: true };
const loads = {
  strong: new LoadThread({ ...single, entities: CLIENTS, kind: 'session' }),
  eventual: new LoadThread({ ...single, entities: CLIENTS, kind: 'user' }, 2e11),
  crowd: new LoadThread({ ...single, entities: 1, kind: 'session' }, 4e11),
};

/** @returns events per second */
async function rateOf(load: LoadThread, connections: number): Promise<number> {
  const port = plane.ports['event-ingest'];
  const { events, elapsedMs } = await load.run({
    ...{ port, path: '/v1/events', connections, durationMs: RUN_MS },
  });
  return (events / elapsedMs) * 1_000;
}

const measured = await interleave(
  [
    { name: 'strong', run: () => rateOf(loads.strong, CLIENTS) },
    { name: 'eventual', run: () => rateOf(loads.eventual, CLIENTS) },
    { name: `${CROWD} clients on one strong entity`, run: () => rateOf(loads.crowd, CROWD) },
  ],
  ROUNDS,
);
for (const load of Object.values(loads)) await load.end();
console.table(
  measured.map(({ name, median, spread }) => ({
    what: name,
    'appends/s': Math.round(median),
    spread: `${Math.round(spread * 100)} %`,
  })),
);
const [strong, eventual, crowd] = measured;
if (strong && eventual && crowd) {
  const one = `${CROWD} clients on one strong entity: ${Math.round(crowd.median)} appends/s`;
  emitRow(
    `strong appends, standalone, ${CLIENTS} clients on ${CLIENTS} entities`,
    atLeast(0.8),
    ratio('', strong, eventual),
    { against: 'eventual appends', seeds: 'events by their number', note: one },
  );
  console.log(ratio('', strong, eventual));
}
