/**
 * Restart after kill -9, with about 0.1 and 1 GiB of state (what the data folder takes on the disk)
 * and up to 10,000 acknowledged events that were not applied: from exec of the one-process plane to
 * the first right read, and to the first right search, with the token of all that was acknowledged.
 *
 *     node benchmarks/restart.ts [kills] [GiB …]
 *
 * The files are in the page cache, as they are after a crash of the process and not of the machine.
 * One event in ten is a memory with a vector. Planes of all sizes are killed in turn.
 */
import { join } from 'node:path';
import {
  call,
  clusteredVectors,
  type EntityView,
  entityPath,
  Plane,
  ScratchFolder,
  type SearchAnswer,
} from '@memplane/testkit';
import { MixedBatch } from './lib/event-bodies.ts';
import {
  Acknowledged,
  appendAll,
  firstAnswer,
  folderBytes,
  lags,
  untilApplied,
} from './lib/plane.ts';
import { ratio, summarize } from './lib/rounds.ts';
import { atMost, emitRow, SHORT } from './lib/row.ts';

const [KILLS = SHORT ? 2 : 5, ...SIZES] = process.argv.slice(2).map(Number);
if (SIZES.length === 0) SIZES.push(...(SHORT ? [0.02, 0.1] : [0.1, 1]));
const BURST = 10_000;
const BATCH = 500;
const ENTITIES = 20_000;
const GIB = 2 ** 30;

const bodies = Array.from({ length: 16 }, (_, seed) => new MixedBatch(BATCH, ENTITIES, seed));
const markers = clusteredVectors({ seed: 99 });

/** A plane of one size, from kill to kill. */
class Subject {
  readonly gib: number;
  readonly folder = new ScratchFolder('bench-restart');
  readonly acknowledged = new Acknowledged();
  readonly readMs: number[] = [];
  readonly searchMs: number[] = [];
  readonly bytes: number[] = [];
  readonly unapplied: number[] = [];
  #nextId = 0;

  constructor(gib: number) {
    this.gib = gib;
  }

  start(): Promise<Plane> {
    return Plane.start({ dataDir: join(this.folder.path, 'data') });
  }

  /** Each body is sent in other ids; a body under way is not touched. */
  async append(plane: Plane, batches: number): Promise<void> {
    for (let left = batches; left > 0; left -= bodies.length) {
      const some = bodies.slice(0, left).map((body) => {
        body.renumber(this.#nextId);
        this.#nextId += BATCH;
        return body.bytes;
      });
      await appendAll(plane, some, this.acknowledged);
    }
  }

  async fill(): Promise<void> {
    const plane = await this.start();
    for (let bytes = 0; bytes < this.gib * GIB; bytes = await folderBytes(this.folder.path)) {
      await this.append(plane, Math.max(16, Math.round(this.gib * 64)));
      await untilApplied(plane);
    }
    await plane.stop();
  }

  /** Appends up to 10,000 events and a marker, kills, and times the next start. */
  async kill(): Promise<void> {
    const vector = new Float32Array(markers.dimensions);
    markers.next(vector);
    const values = Buffer.from(vector.buffer).toString('base64');
    const id = `marker-${this.readMs.length}`;
    const marker = {
      id,
      type: 'Marked',
      entity: `marker/${this.readMs.length}`,
      attributes: { marked: id },
      memory: { id, text: 'the last one', embedding: { model: 'bench', values } },
    };
    await using before = await this.start();
    await untilApplied(before);
    await this.append(before, BURST / BATCH - 1);
    await appendAll(before, [marker], this.acknowledged);
    const { views, index } = await lags(before);
    await before.kill();
    this.unapplied.push(index);
    this.bytes.push(await folderBytes(this.folder.path));

    const started = performance.now();
    await using after = await Plane.launch(before.options);
    const token = this.acknowledged.token;
    const read = firstAnswer(started, async () => {
      const path = entityPath(marker.entity, { after: token });
      const answer = await call<EntityView>('GET', after.materializer + path);
      const right = answer.status !== 200 || answer.body.attributes['marked'] === id;
      if (!right) throw new Error(`a wrong view: ${answer.text}`);
      return answer;
    });
    const search = firstAnswer(started, async () => {
      const body = { vector: values, topK: 1, after: token };
      const answer = await call<SearchAnswer>('POST', `${after.vectors}/v1/search`, { body });
      const right = answer.status !== 200 || answer.body.results[0]?.memoryId === id;
      if (!right) throw new Error(`a wrong search: ${answer.text}`);
      return answer;
    });
    const [readMs, searchMs] = await Promise.all([read, search]);
    this.readMs.push(readMs);
    this.searchMs.push(searchMs);
    console.log(
      `| ${this.gib} | ${((this.bytes.at(-1) ?? 0) / GIB).toFixed(2)} GiB | ${views} / ${index} ` +
        `| ${readMs.toFixed(0)} | ${searchMs.toFixed(0)} |`,
    );
    await after.stop();
  }
}

const subjects = SIZES.map((gib) => new Subject(gib));
try {
  for (const subject of subjects) await subject.fill();
  console.log('| GiB | measured | unapplied in views / index | read ms | search ms |');
  console.log('|---|---|---|---|---|');
  for (let round = 0; round < KILLS; round++) {
    for (const subject of subjects) await subject.kill();
  }
  for (const { gib, readMs, searchMs, bytes, unapplied } of subjects) {
    const gibs = bytes.map((size) => (size / GIB).toFixed(2));
    const note =
      `${gibs[0]} to ${gibs.at(-1)} GiB on the disk, ${Math.min(...unapplied)} to ` +
      `${Math.max(...unapplied)} events not applied at the kill`;
    const about = { seeds: 'restart 0 to 15, marker 99' };
    const after = `restart after kill -9, ${gib} GiB of state, to the first`;
    const read = summarize('read', readMs);
    emitRow(`${after} right read`, atMost(1_000, 'ms'), read, { ...about, note });
    emitRow(`${after} right search`, atMost(2_000, 'ms'), summarize('search', searchMs), about);
  }
  const [small, large] = [subjects[0], subjects.at(-1)];
  if (small && large && small !== large) {
    const against = `the same with ${small.gib} GiB`;
    for (const [what, of] of [
      ['read', 'readMs'],
      ['search', 'searchMs'],
    ] as const) {
      const flat = ratio(what, summarize('large', large[of]), summarize('small', small[of]));
      const row = `restart with ${large.gib} GiB, to the first right ${what} (flat)`;
      emitRow(row, atMost(1.5), flat, { against });
    }
  }
} finally {
  for (const { folder } of subjects) folder[Symbol.dispose]();
}
