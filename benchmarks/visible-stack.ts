/**
 * How soon an append is seen in the whole distributed plane, at half of the load that it can bear; see
 * `lib/visibility.ts` for how it is measured. What is timed (appends, reads, searches) goes through
 * the sidecar of an agent and that of the service. The load beside it goes straight to both instances
 * of event-ingest: on a few cores it would otherwise measure sidecars.
 *
 *     node benchmarks/visible-stack.ts [rounds] [seconds per round]
 */
import { atMost, emitRow } from './lib/row.ts';
import { directTo, withStack } from './lib/stack.ts';
import { measureVisibility } from './lib/visibility.ts';

await withStack('visible', async (plane) => {
  const [materializer] = directTo(plane, 'materializer');
  const { view, search, about } = await measureVisibility({
    ingest: plane.ingest,
    materializer: plane.materializer,
    vectors: plane.vectors,
    applying: directTo(plane, 'vector-index').map(({ url }) => ({
      materializer: materializer?.url ?? '',
      vectors: url,
    })),
    loads: directTo(plane, 'event-ingest'),
  });
  const note = 'probes through two sidecars, the load straight to event-ingest; all on one machine';
  const what = 'distributed plane, append → visible in';
  emitRow(`${what} the view, p99`, atMost(100, 'ms'), view, { ...about, note });
  emitRow(`${what} search, p99`, atMost(300, 'ms'), search, { ...about, note });
});
