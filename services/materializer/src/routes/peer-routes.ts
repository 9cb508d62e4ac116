import { getPartitionFeed, MemplaneError, runPart } from '@memplane/contracts';
import { ok, type Route, route } from '@memplane/runtime';
import type { OpenFeed } from '../drivers/feed-stream.ts';
import { waiting } from '../reads/cuts.ts';
import { type Part, runHere } from '../reads/part.ts';
import type { Plane } from '../reads/plane.ts';
import { ownerMoving, type Shard } from '../shard.ts';

/** What an instance answers to its peers, on a port of its own. */
export function peerRoutes(
  plane: Plane,
  parts: ReadonlyMap<string, Part<never, unknown>>,
  openFeed: OpenFeed,
): Route[] {
  return [
    route(runPart, async ({ params, body, signal, trace }) => {
      const part = parts.get(params.part);
      if (part === undefined) {
        throw new MemplaneError('not_found', `There is no part ${params.part}.`);
      }
      const shards = body.partitions.map((asked) => shardFor(plane, asked));
      const partitions = shards.map(({ partition }) => partition);
      const wait = waiting(body.waitMs, signal, trace);
      const answer = await runHere(plane, part, partitions, body.query as never, wait);
      return ok({
        answer,
        shards: shards.map(({ partition, ownerEpoch: epoch, applied }) => ({
          partition,
          epoch,
          applied,
        })),
      });
    }),
    route(getPartitionFeed, async ({ query, signal }) => {
      const shard = shardFor(plane, query);
      return { status: 200, stream: await openFeed({ ...query, shard, signal }) };
    }),
  ];
}

/** @throws MemplaneError `owner_moving` when it is not here, or a later owner is known */
function shardFor(
  { shards }: Plane,
  { partition, epoch }: { readonly partition: number; readonly epoch: number },
): Shard {
  if (partition >= shards.partitions) {
    throw new MemplaneError('not_found', `There is no partition ${partition}.`);
  }
  const shard = shards.at(partition);
  if (shard.ownerEpoch < epoch) throw ownerMoving(partition);
  return shard;
}
