import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AppendAnswer,
  call,
  chunks,
  clusteredVectors,
  eventually,
  expectStatus,
  figure,
  forEachAtMost,
  MIB,
  Plane,
  planeDigests,
  processMemory,
  range,
  readAppliedEnds,
  ScratchFolder,
  scaled,
  seeded,
} from '@memplane/testkit';

/** CI does a part of it, against the same bounds for all that does not grow with the data. */
const EVENTS = scaled('memory_events', { ci: 300_000, soak: 1_000_000 });
const ENTITIES = EVENTS / 10;
const VECTORS = scaled('memory_vectors', { ci: 5_000, soak: 100_000 });
const DIMENSIONS = 768;
const BATCH = 500;
const WRITERS = 8;
const ANONYMOUS_MAX = 600 * MIB;
const VECTORS_MAX = 400 * MIB;
/** "Flat": what another load of the same size may add. */
const GROWTH_MAX = 60 * MIB;

test(`memory with ${EVENTS} events of 400 B, as many again, and ${VECTORS} vectors`, async () => {
  using folder = new ScratchFolder('memory');
  await using plane = await Plane.start({ dataDir: folder.path });
  const started = performance.now();
  await load(plane, 0, EVENTS);
  figure('events per second, while views and index follow', rate(EVENTS, started));
  const first = await settled(plane);
  figure('anonymous memory after the first load', mib(first), 'MiB');
  assert.ok(first <= ANONYMOUS_MAX, `${mib(first)} MiB of at most ${mib(ANONYMOUS_MAX)}`);

  await load(plane, EVENTS, EVENTS);
  const second = await settled(plane);
  figure('anonymous memory after as much again', mib(second), 'MiB');
  assert.ok(second <= ANONYMOUS_MAX, `${mib(second)} MiB of at most ${mib(ANONYMOUS_MAX)}`);
  assert.ok(second - first <= GROWTH_MAX, `grew by ${mib(second - first)} MiB`);

  await loadVectors(plane);
  const third = await settled(plane);
  figure(`anonymous memory with ${VECTORS} vectors more`, mib(third), 'MiB');
  assert.ok(third - second <= VECTORS_MAX, `vectors took ${mib(third - second)} MiB`);
});

async function load(plane: Plane, from: number, count: number): Promise<void> {
  const batches = count / BATCH;
  const random = seeded(from + 1);
  const filler = Array.from({ length: 64 }, () => random.word(260));
  await forEachAtMost(WRITERS, range(batches), async (batch) => {
    const events = Array.from({ length: BATCH }, (_, i) => {
      const n = from + batch * BATCH + i;
      const entity = `load/${n % ENTITIES}`;
      const data = { n, filler: filler[n % filler.length] };
      return { id: `l${n}`, type: 'Loaded', entity, data, attributes: { n, [`k${n % 4}`]: n } };
    });
    await append(plane, events);
  });
}

async function loadVectors(plane: Plane): Promise<void> {
  const source = clusteredVectors({ seed: 3, dimensions: DIMENSIONS });
  const ids = Array.from(range(VECTORS));
  for (const part of chunks(ids, BATCH)) {
    await append(
      plane,
      part.map((n) => {
        const values = new Float32Array(DIMENSIONS);
        source.next(values);
        const embedding = {
          model: 'seeded',
          values: Buffer.from(values.buffer).toString('base64'),
        };
        const memory = { id: `v${n}`, metadata: { n }, embedding };
        return { id: `v${n}`, type: 'Embedded', entity: `load/${n % ENTITIES}`, memory };
      }),
    );
  }
}

async function append(plane: Plane, body: readonly unknown[]): Promise<void> {
  const url = `${plane.ingest}/v1/events`;
  await eventually('an append that is not refused for now', 60_000, async () => {
    const answer = await call<AppendAnswer>('POST', url, { body });
    if (answer.status === 429) return undefined;
    assert.equal(answer.status, 201, answer.text.slice(0, 500));
    return answer;
  });
}

/** Anonymous memory once views and index have caught up, the lowest of a few looks. */
async function settled(plane: Plane): Promise<number> {
  await readAppliedEnds(plane.materializer, 600_000);
  await planeDigests(plane);
  await expectStatus(200, 'GET', `${plane.materializer}/v1/shards`);
  let lowest = Number.POSITIVE_INFINITY;
  for (let look = 0; look < 10; look++) {
    lowest = Math.min(lowest, (await processMemory(plane.pid)).anonymous);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  return lowest;
}

function rate(count: number, started: number): number {
  return Math.round(count / ((performance.now() - started) / 1000));
}

function mib(bytes: number): number {
  return Math.round(bytes / MIB);
}
