/**
 * Joins of the replicated types in memory against merges of Pekko Distributed Data.
 *
 *   node benchmarks/crdt-joins.ts [rounds] [milliseconds a run] [number of a trace]
 *
 * The same trace for both sides, which is checked: after it both have the same value. Four replicas
 * change a value, a fifth joins each delta, or each state. Ours joins in place; Pekko's values are
 * immutable and each merge makes a new one, so ours is cloned before a pass, out of the time. Each
 * trace has a process of its own on both sides, so that neither compiler has seen other types; both
 * join for `WARM_MS` before the rounds begin.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type JoinTrace, joinTraces } from './lib/join-traces.ts';
import { Pekko } from './lib/pekko.ts';
import { interleave, ratio } from './lib/rounds.ts';
import { atLeast, emitRow, SHORT } from './lib/row.ts';

const ROUNDS = Number(process.argv[2] ?? 5);
const RUN_MS = Number(process.argv[3] ?? (SHORT ? 20 : 250));
const ONLY = process.argv[4];
const WARM_MS = SHORT ? 50 : 1_500;
const GOAL = 1;
const SEED = 20_261_126;

/** Joins per second, for at least that long. */
function measure(trace: JoinTrace, ms: number): number {
  let joins = 0;
  let spentMs = 0;
  while (spentMs < ms) {
    spentMs += trace.joinAll();
    joins += trace.joins;
  }
  return (joins / spentMs) * 1_000;
}

async function compare(trace: JoinTrace): Promise<void> {
  const pekko = await Pekko.start();
  try {
    const form = trace.isDelta ? 'delta' : 'state';
    const value = await pekko.tell([...trace.lines, `result\t${form}`]);
    const own = trace.value();
    if (value !== own) throw new Error(`${trace.what}: another value there`);
    const theirs = async (ms: number) => Number(await pekko.tell([`measure\t${form}\t${ms}`]));
    await theirs(WARM_MS);
    measure(trace, WARM_MS);
    const [ours, others] = await interleave(
      [
        { name: 'ours', run: async () => measure(trace, RUN_MS) },
        { name: 'Pekko', run: () => theirs(RUN_MS) },
      ],
      ROUNDS,
    );
    if (!ours || !others) throw new Error('nothing was measured');
    const share = ratio('ratio', ours, others);
    const shown = (value: number) => Math.round(value).toLocaleString('en').padStart(12);
    const what = `${trace.what}, ${form} joins`;
    const percent = (share.spread * 100).toFixed(0);
    console.log(
      `${what.padEnd(32)} ${shown(ours.median)} /s  Pekko ${shown(others.median)} /s  ratio ${share.median.toFixed(2)} ± ${percent} %`,
    );
    emitRow(`${what} per second in memory, same trace`, atLeast(GOAL), share, {
      against: "Pekko's merge",
      seeds: `crdt-joins ${SEED}`,
      ...(trace.note === undefined ? {} : { note: trace.note }),
    });
  } finally {
    await pekko.end();
  }
}

async function compareApart(index: number): Promise<void> {
  const args = [import.meta.filename, ROUNDS, RUN_MS, index].map(String);
  const child = spawn(process.execPath, args, { stdio: 'inherit' });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`trace ${index} ended with ${code}`);
}

const traces = joinTraces(SEED, SHORT);
const only = ONLY === undefined ? undefined : traces[Number(ONLY)];
if (only !== undefined) await compare(only);
else for (const index of traces.keys()) await compareApart(index);
