/**
 * How soon an append is seen, at half of the load that a running one-process plane can bear; see
 * `lib/visibility.ts` for how it is measured.
 *
 *     node benchmarks/visible.ts [rounds] [seconds per round]
 */
import { withPlane } from './lib/plane.ts';
import { atMost, emitRow } from './lib/row.ts';
import { measureVisibility } from './lib/visibility.ts';

await withPlane('visible', async (plane) => {
  const { view, search, about } = await measureVisibility({
    ingest: plane.ingest,
    materializer: plane.materializer,
    vectors: plane.vectors,
    applying: [plane],
    loads: [{ port: plane.ports['event-ingest'] }],
  });
  emitRow('append → visible in the view, p99', atMost(50, 'ms'), view, about);
  emitRow('append → visible in search, p99', atMost(200, 'ms'), search, about);
});
