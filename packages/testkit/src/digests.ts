import { readAppliedEnds } from './feed.ts';
import { expectStatus } from './http.ts';
import type { Plane } from './plane.ts';
import { eventually } from './pool.ts';

interface IndexAnswer {
  readonly generations: readonly {
    readonly state: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly applied: number;
      readonly rows: number;
      readonly digest: string;
    }[];
  }[];
}

export interface PlaneDigests {
  /** What `GET /v1/digest` of the materializer answers. */
  readonly views: unknown;
  /** Per partition of the live index: what it holds, and up to where. */
  readonly index: readonly string[];
}

/** The digests of the derived stores, once both have applied all of the log. */
export async function planeDigests(plane: Plane): Promise<PlaneDigests> {
  const ends = await readAppliedEnds(plane.materializer, 120_000);
  const index = await eventually('the index catches up', 120_000, async () => {
    const answer = await expectStatus<IndexAnswer>(200, 'GET', `${plane.vectors}/v1/index`);
    const live = answer.generations.find((generation) => generation.state === 'live');
    const partitions = live?.partitions ?? [];
    const applied = new Map(partitions.map((p) => [p.partition, p.applied]));
    const behind = [...ends].some(([partition, end]) => (applied.get(partition) ?? -1) < end);
    if (behind) return undefined;
    return partitions
      .filter((p) => p.applied >= 0)
      .map((p) => `${p.partition}: ${p.applied} ${p.rows} ${p.digest}`)
      .sort();
  });
  const views = await expectStatus<unknown>(200, 'GET', `${plane.materializer}/v1/digest`);
  return { views, index };
}
