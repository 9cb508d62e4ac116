/**
 * Reads of the past against reads of the newest state, over HTTP from a running one-process plane:
 * an entity of 10,000 events, read in turn as it is and as it was at an offset anywhere in its life.
 * The newest state is in memory, and after the first round, which does not count, so is nearly all
 * of the history; the first round is shown as well.
 *
 *     node benchmarks/as-of.ts [rounds] [reads per round]
 */
import { chunks, entityPath, expectStatus, percentile, readEntity } from '@memplane/testkit';
import { Acknowledged, appendAll, untilApplied, withPlane } from './lib/plane.ts';
import { ratio, summarize } from './lib/rounds.ts';
import { atMost, emitRow, SHORT } from './lib/row.ts';

const [ROUNDS = 5, READS = SHORT ? 100 : 1_000] = process.argv.slice(2).map(Number);
const EVENTS = 10_000;
const ENTITY = 'user/long';
const TEXT = 'The order arrived late, so I would like to send it back please. '.repeat(3);

function eventOf(n: number): unknown {
  return {
    id: `e${n}`,
    type: 'UserMessageSent',
    entity: ENTITY,
    source: 'bench',
    data: { text: TEXT },
    attributes: { turn: n, channel: n % 3 === 0 ? 'email' : 'chat' },
  };
}

await withPlane('as-of', async (plane) => {
  const events = Array.from({ length: EVENTS }, (_, n) => eventOf(n));
  await appendAll(plane, chunks(events, 500), new Acknowledged(), 1);
  await untilApplied(plane);
  const last = (await readEntity(plane.materializer, ENTITY)).asOf.offset;
  const first = last - EVENTS + 1;
  const timed = async (n: number, asOf?: number): Promise<number> => {
    const query = asOf === undefined ? {} : { asOf: `offset:${asOf}` };
    const url = plane.materializer + entityPath(ENTITY, query);
    const started = performance.now();
    const view = await expectStatus<{ attributes: { turn: number } }>(200, 'GET', url);
    const elapsed = performance.now() - started;
    if (view.attributes.turn !== n) throw new Error(`${url}: ${JSON.stringify(view.attributes)}`);
    return elapsed;
  };
  const sides = { latest: [] as number[], past: [] as number[] };
  const rows: Record<string, string | number>[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const latest: number[] = [];
    const past: number[] = [];
    for (let n = 0; n < READS; n++) {
      const at = (n * 7919 + round) % EVENTS;
      latest.push(await timed(EVENTS - 1));
      past.push(await timed(at, first + at));
    }
    rows.push({
      'latest p50 ms': percentile(latest, 0.5).toFixed(2),
      'latest p99 ms': percentile(latest, 0.99).toFixed(2),
      'asOf p50 ms': percentile(past, 0.5).toFixed(2),
      'asOf p99 ms': percentile(past, 0.99).toFixed(2),
    });
    if (round === 0) continue; // warm-up
    sides.latest.push(percentile(latest, 0.99));
    sides.past.push(percentile(past, 0.99));
  }
  console.table(rows);
  const times = ratio('asOf', summarize('past', sides.past), summarize('latest', sides.latest));
  console.log(`asOf p99 / latest p99 over HTTP: ${times.median.toFixed(2)}`);
  emitRow('asOf p99, 10,000 events in the entity, over HTTP', atMost(2), times, {
    against: 'latest read p99',
  });
});
