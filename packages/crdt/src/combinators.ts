import { join, type Lattice } from './lattice.ts';

/** The lattice of values by name; a name whose value is the bottom is as good as absent. */
export function byName<S>(lattice: Lattice<S>): Lattice<Map<string, S>> {
  return {
    name: `${lattice.name} by name`,
    bottom: () => new Map(),
    clone: (state) => new Map([...state].map(([name, value]) => [name, lattice.clone(value)])),
    joinInto(target, source) {
      let grew = false;
      for (const [name, theirs] of source) {
        const mine = target.get(name);
        if (mine !== undefined) grew = lattice.joinInto(mine, theirs) || grew;
        else if (!lattice.isBottom(theirs)) {
          target.set(name, lattice.clone(theirs));
          grew = true;
        }
      }
      return grew;
    },
    isBottom: (state) => [...state.values()].every(lattice.isBottom),
    *decompose(state) {
      for (const [name, value] of state) {
        for (const part of lattice.decompose(value)) yield new Map([[name, part]]);
      }
    },
    difference(a, b) {
      const rest = new Map<string, S>();
      for (const [name, mine] of a) {
        const theirs = b.get(name);
        const news = theirs === undefined ? mine : lattice.difference(mine, theirs);
        if (!lattice.isBottom(news)) rest.set(name, news);
      }
      return rest;
    },
  };
}

type Lattices<T> = { readonly [K in keyof T]: Lattice<T[K]> };

/** The lattice of records whose members are each of a lattice of their own. */
export function product<T extends object>(name: string, lattices: Lattices<T>): Lattice<T> {
  const keys = Object.keys(lattices) as (keyof T)[];
  const each = (value: <K extends keyof T>(key: K, lattice: Lattice<T[K]>) => T[K]) => {
    const record = {} as T;
    for (const key of keys) record[key] = value(key, lattices[key]);
    return record;
  };
  return {
    name,
    bottom: () => each((_, lattice) => lattice.bottom()),
    clone: (state) => each((key, lattice) => lattice.clone(state[key])),
    joinInto(target, source) {
      let grew = false;
      for (const key of keys) grew = lattices[key].joinInto(target[key], source[key]) || grew;
      return grew;
    },
    isBottom: (state) => keys.every((key) => lattices[key].isBottom(state[key])),
    *decompose(state) {
      for (const key of keys) {
        for (const part of lattices[key].decompose(state[key])) {
          yield each((other, lattice) =>
            (other as keyof T) === key
              ? join(lattice, lattice.bottom(), part as never)
              : lattice.bottom(),
          );
        }
      }
    },
    difference: (a, b) => each((key, lattice) => lattice.difference(a[key], b[key])),
  };
}
