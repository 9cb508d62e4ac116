import type { Seeded } from '@memplane/testkit';
import type { Way } from './replica-net.ts';

/** What is cut, and what it leaves. */
export interface Cut {
  readonly name: string;
  readonly ways: readonly Way[];
  /** Set where no way at all leads from one side to another. */
  readonly sides: readonly (readonly string[])[] | undefined;
}

export function anyCut(random: Seeded, ids: readonly string[]): Cut {
  const [a = '', b = '', ...rest] = random.shuffle(ids);
  const shape = random.int(0, 4);
  switch (shape) {
    case 0:
    case 1:
      return dividing([[a, b], rest]);
    case 2:
      return dividing([rest, [a], [b]]);
    case 3:
      return oneWay([a], [b]);
    default:
      return random.chance(0.5) ? oneWay([a, b], rest) : oneWay(rest, [a, b]);
  }
}

function dividing(groups: readonly (readonly string[])[]): Cut {
  const sides = groups.map((group) => [...group].sort());
  const ways = sides.flatMap((side) => {
    const others = sides.filter((other) => other !== side).flat();
    return waysBetween(side, others);
  });
  return { name: sides.map((side) => side.join('')).join(' | '), ways, sides };
}

function oneWay(from: readonly string[], to: readonly string[]): Cut {
  const name = `${[...from].sort().join('')} -/> ${[...to].sort().join('')}`;
  return { name, ways: waysBetween(from, to), sides: undefined };
}

/** Of which others an alert at a replica has to speak. */
export function cutOffFrom(id: string, { ways }: Cut): string {
  const others = ways.flatMap(([from, to]) => {
    if (from === id) return [to];
    return to === id ? [from] : [];
  });
  return [...new Set(others)].sort().join();
}

function waysBetween(from: readonly string[], to: readonly string[]): Way[] {
  return from.flatMap((one) => to.map((other): Way => [one, other]));
}
