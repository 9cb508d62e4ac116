/**
 * Large sets between two replicas, each on a folder of its own in a thread of its own.
 *
 *   node benchmarks/crdt-large-set.ts [elements] [rounds]
 *
 * An emptied replica gets 100,000 elements; then the set grows to a million at both, and ten
 * elements differ in each round. What goes over the wire is counted where the replicas call each
 * other; the network itself takes no time. Adds are made one after the other, each durable before
 * the next, to a small set and to the large one in turn.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { comparingReplica } from '../services/crdt-sync/src/domain/replication/test-comparing.ts';
import { EmbeddedStore } from '../services/crdt-sync/src/drivers/embedded-store.ts';
import type { LargeSetData, LargeSetOrder } from './lib/large-set-thread.ts';
import { PortCaller } from './lib/port-caller.ts';
import { interleave, ratio, summarize } from './lib/rounds.ts';
import { atLeast, atMost, emitRow, SHORT } from './lib/row.ts';

const ELEMENTS = Number(process.argv[2] ?? (SHORT ? 20_000 : 1_000_000));
const ROUNDS = Number(process.argv[3] ?? 5);
const EMPTIED_ELEMENTS = Math.min(ELEMENTS, 100_000);
const SMALL_ELEMENTS = 1_000;
const DIFFERENCES = 10;
const ADDED = SHORT ? 20 : 200;
const EMPTIED_MS_MAX = 3_000;
const EVEN_MS_MAX = 1_000;
const WIRE_BYTES_MAX = 64 * 1024;
const ADD_RATIO = 0.9;

const dir = mkdtempSync(join(tmpdir(), 'memplane-bench-'));
const set_elements_max = ELEMENTS * 2;
const numbered = (what: string, count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => `${what} ${from + i}`);

class Other {
  readonly worker: Worker;

  constructor(id: string) {
    const workerData: LargeSetData = { id, dir: join(dir, id), set_elements_max };
    this.worker = new Worker(new URL('lib/large-set-thread.ts', import.meta.url), { workerData });
  }

  async done(): Promise<string> {
    for (;;) {
      const [message] = (await once(this.worker, 'message')) as [{ done?: string }];
      if (message.done !== undefined) return message.done;
    }
  }

  tell(order: LargeSetOrder): Promise<string> {
    const done = this.done();
    this.worker.postMessage(order);
    return done;
  }
}

try {
  const other = new Other('a');
  await other.done();
  const caller = new PortCaller(other.worker);
  const store = await EmbeddedStore.open({ dir: join(dir, 'b') });
  const own = await comparingReplica('b', store, caller, set_elements_max);
  await other.tell({ order: 'add', elements: numbered('element', EMPTIED_ELEMENTS) });

  const begin = performance.now();
  await own.catchUp('other');
  const emptiedMs = performance.now() - begin;
  await checkEqual();
  report(`an emptied replica has ${EMPTIED_ELEMENTS} elements`, EMPTIED_MS_MAX, 'ms', [emptiedMs]);

  const rest = numbered('element', ELEMENTS - EMPTIED_ELEMENTS, EMPTIED_ELEMENTS);
  await other.tell({ order: 'add', elements: rest });
  await own.catchUp('other');
  await checkEqual();
  const bytes: number[] = [];
  const evenMs: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const half = DIFFERENCES / 2;
    await other.tell({ order: 'add', elements: numbered('only there', half, round * half) });
    await own.remove('s', numbered('element', half, round * 7_919));
    const before = caller.bytes;
    const from = performance.now();
    await own.catchUp('other');
    await other.tell({ order: 'catchUp' });
    // The first finds nothing in any cache.
    if (round > 0) evenMs.push(performance.now() - from);
    if (round > 0) bytes.push(caller.bytes - before);
    await checkEqual();
  }
  const what = `${DIFFERENCES} differences in a set of ${ELEMENTS}`;
  report(`${what}: on the wire, both ways`, WIRE_BYTES_MAX, 'bytes', bytes);
  report(`${what}: even after`, EVEN_MS_MAX, 'ms', evenMs);

  await compareAdds();
  await other.tell({ order: 'close' });
  await other.worker.terminate();
  await store.close();

  async function compareAdds(): Promise<void> {
    let added = 0;
    const perSecond = async (name: string, base: number) => {
      if (name !== 's') {
        await own.reset(name);
        await own.add(name, numbered('element', base));
      }
      const elements = numbered('added', ADDED, added++ * ADDED);
      const from = performance.now();
      for (const element of elements) await own.add(name, [element]);
      return (ADDED / (performance.now() - from)) * 1_000;
    };
    const [large, few] = await interleave(
      [
        { name: 'large', run: () => perSecond('s', ELEMENTS) },
        { name: 'small', run: () => perSecond('small', SMALL_ELEMENTS) },
      ],
      ROUNDS,
    );
    if (!large || !few) throw new Error('nothing was measured');
    const share = ratio('adds', large, few);
    console.log(
      `adds to ${ELEMENTS}: ${Math.round(large.median)} /s, to ${SMALL_ELEMENTS}: ${Math.round(few.median)} /s, ratio ${share.median.toFixed(2)} ± ${(share.spread * 100).toFixed(0)} %`,
    );
    emitRow(`adds to a set of ${ELEMENTS}`, atLeast(ADD_RATIO), share, {
      against: `adds to a set of ${SMALL_ELEMENTS}`,
    });
  }

  async function checkEqual(): Promise<void> {
    if ((await own.digests()) !== (await other.tell({ order: 'digests' }))) {
      throw new Error('the replicas are not equal');
    }
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}

function report(what: string, max: number, unit: string, values: readonly number[]): void {
  const measured = summarize(what, values);
  console.log(`${what}: ${Math.round(measured.median)} ${unit} (goal ≤ ${max})`);
  emitRow(what, atMost(max, unit), measured);
}
