import { dotKey } from '../causal-difference.ts';
import { dotsOf, type ReadonlyContext } from '../context.ts';
import type { Dot } from '../dot.ts';
import { leavesOf } from '../dot-store.ts';
import type { KeyedState } from '../keyed.ts';

/*
 * What values come to, worked out without a join: a place holds the dots that some operation put
 * there and none took away.
 */

interface Placed {
  readonly place: string;
  readonly payload: string;
}

/** The values of a fold of deltas, or of one state, as text. */
export function naiveValues(deltas: Iterable<KeyedState>): string {
  const placed = new Map<string, Placed>();
  const gone = new Set<string>();
  const nets = new Map<string, { seq: number; net: bigint }>();
  const votes = new Map<string, number>();
  let floor = 0;
  for (const delta of deltas) {
    placeDots(delta, placed, gone);
    for (const [name, { entries }] of delta.counters) {
      for (const [incarnation, { seq, net, resetSeq, resetNet }] of entries) {
        raise(nets, `${name}+${incarnation}`, seq, net);
        raise(nets, `${name}-${incarnation}`, resetSeq, -resetNet);
      }
    }
    for (const flag of delta.flags.values()) {
      floor = Math.max(floor, flag.floor);
      for (const [version, voters] of flag.votes) {
        for (const voter of voters) votes.set(`${version} ${voter}`, version);
      }
    }
  }
  const lines = [...placed]
    .filter(([key]) => !gone.has(key))
    .map(([key, { place, payload }]) => `${place} ${key} ${payload}`);
  for (const [vote, version] of votes) if (version >= floor) lines.push(`vote ${vote}`);
  const sums = new Map<string, bigint>();
  for (const [key, { net }] of nets) {
    const name = key.slice(0, key.search(/[+-]/));
    sums.set(name, (sums.get(name) ?? 0n) + net);
  }
  for (const [name, sum] of sums) if (sum !== 0n) lines.push(`sum ${name} ${sum}`);
  return lines.sort().join('\n');
}

function placeDots(delta: KeyedState, placed: Map<string, Placed>, gone: Set<string>): void {
  const put = (name: string, context: ReadonlyContext, standing: [string, Dot, unknown][]) => {
    const here = new Set(standing.map(([, dot]) => dotKey(dot)));
    for (const dot of dotsOf(context)) {
      if (!here.has(dotKey(dot))) gone.add(`${name} ${dotKey(dot)}`);
    }
    for (const [place, dot, payload] of standing) {
      placed.set(`${name} ${dotKey(dot)}`, { place, payload: String(payload) });
    }
  };
  for (const [name, { elements, context }] of delta.sets) {
    const standing = [...elements].flatMap(([element, dots]) =>
      dots.map((dot): [string, Dot, unknown] => [element, dot, '']),
    );
    put(`set ${name}`, context, standing);
  }
  for (const [name, { versions, context }] of delta.registers) {
    const standing = versions.map((it): [string, Dot, unknown] => ['', it.dot, it.value]);
    put(`register ${name}`, context, standing);
  }
  for (const [name, { root, context }] of delta.maps) {
    const standing = [...leavesOf(root)].flatMap(([path, { items }]) =>
      items.map(({ dot, payload }): [string, Dot, unknown] => {
        const shown = typeof payload === 'object' ? payload.value : payload;
        return [path.join('/'), dot, shown];
      }),
    );
    put(`map ${name}`, context, standing);
  }
}

function raise(
  nets: Map<string, { seq: number; net: bigint }>,
  key: string,
  seq: number,
  net: bigint,
): void {
  const known = nets.get(key);
  if (known === undefined || seq > known.seq) nets.set(key, { seq, net });
}
