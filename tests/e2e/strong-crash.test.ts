/**
 * Strong entities under kill -9: whatever step it ends, what was answered is there, in the order that
 * was answered, and nothing is there twice.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { Memplane, MemplaneError } from '@memplane/client';
import { Plane, ScratchFolder, scaled } from '@memplane/testkit';

const ROUNDS = scaled('strong_crash_rounds', { ci: 2, soak: 40 });
const WRITERS = 6;
const ENTITIES = ['session/a', 'session/b', 'session/c'];

interface Told {
  readonly entity: string;
  readonly id: string;
  readonly sequence: number;
}

/** Calls the plane of the moment, once: what fails is the test's to repeat. */
function clientOf(plane: Plane): Memplane {
  const urls = {
    'event-ingest': plane.ingest,
    materializer: plane.materializer,
    'crdt-sync': plane.crdt,
    'vector-index': plane.vectors,
  };
  return new Memplane({ urls, retries_max: 0, readYourWrites: false });
}

test('what was appended to strong entities outlives kill -9, once and in order', async (context) => {
  using folder = new ScratchFolder('strong-crash');
  const zones = path.join(folder.path, 'zones.yaml');
  await writeFile(zones, 'zones: [{match: "session/*", consistency: strong}]\n');
  const env = { MEMPLANE_ZONES: zones };
  const told: Told[] = [];
  /** Sent, and not answered. */
  const open = new Map<string, string>();
  let refused = 0;
  let plane = await Plane.start({ dataDir: path.join(folder.path, 'data'), env });
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const client = clientOf(plane);
      let isOver = false;
      const write = async (writer: number) => {
        for (let n = 0; !isOver; n++) {
          const entity = ENTITIES[(writer + n) % ENTITIES.length] as string;
          const ids = [0, 1].map((i) => `${round}.${writer}.${n}.${i}`).slice(0, 1 + (n % 2));
          for (const id of ids) open.set(id, entity);
          const events = ids.map((id) => ({ type: 'Noted', entity, id }));
          const known = told.findLast((one) => one.entity === entity)?.sequence ?? 0;
          const [first, ...others] = events;
          if (first === undefined) continue;
          const head = n % 3 === 0 ? { ...first, expectedSequence: known } : first;
          try {
            for (const { id, sequence = 0 } of await client.append([head, ...others])) {
              told.push({ entity, id, sequence });
              open.delete(id);
            }
          } catch (error) {
            if (!(error instanceof MemplaneError) || error.code !== 'sequence_conflict') continue;
            refused++;
            for (const id of ids) open.delete(id);
          }
        }
      };
      const writers = Array.from({ length: WRITERS }, (_, writer) => write(writer));
      await new Promise((resolve) => setTimeout(resolve, 300 + 40 * round));
      await plane.kill();
      isOver = true;
      await Promise.all(writers);
      plane = await plane.again();
    }
    context.diagnostic(`${told.length} told, ${open.size} open, ${refused} refused`);
    assert.ok(told.length > 5 * ROUNDS, `${told.length} were appended`);
    const client = clientOf(plane);
    // What is open may be in or not; after this it is, once.
    for (const [id, entity] of open) {
      const { sequence = 0 } = await client.append({ type: 'Noted', entity, id });
      told.push({ entity, id, sequence });
    }
    for (const entity of ENTITIES) await checkHistory(client, entity, told);
  } finally {
    await plane.kill();
  }
});

async function checkHistory(client: Memplane, entity: string, told: readonly Told[]) {
  const mine = told.filter((one) => one.entity === entity);
  const view = await client.entity(entity, { consistency: 'linearizable' });
  assert.equal(view?.sequence, mine.length);
  const ids: string[] = [];
  let from = 0;
  while (ids.length < mine.length) {
    const page = await client.entityHistory(entity, { from, limit: 1_000 });
    assert.ok(page?.events.length, `${entity} ends after ${ids.length} of ${mine.length}`);
    for (const { offset, event } of page.events) {
      ids.push(event.id);
      assert.equal((event as { sequence?: number }).sequence, ids.length);
      from = offset + 1;
    }
  }
  for (const { id, sequence } of mine) assert.equal(ids[sequence - 1], id);
}
