import assert from 'node:assert/strict';
import {
  counterLattice,
  flagLattice,
  type Lattice,
  mapLattice,
  registerLattice,
  setLattice,
  setOfDelta,
} from '@memplane/crdt';
import type { Change, Commit, NamedState } from '../domain/port.ts';
import { MemoryStore } from './test-memory-store.ts';

/** Sees to it that the states of each change are the join of its delta with what was there. */
export class CheckedStore extends MemoryStore {
  override async commit(commit: Commit): Promise<void> {
    const before = await this.#states(commit.changes);
    await super.commit(commit);
    const after = await this.#states(commit.changes);
    commit.changes.forEach((change, index) => {
      const [was, is] = [before[index] ?? {}, after[index] ?? {}];
      if (change.type === 'register') {
        expectJoin(registerLattice, was.register, change.delta, is.register);
      } else if (change.type === 'set') {
        expectJoin(setLattice, was.set, setOfDelta(change.delta), is.set);
        assert.equal(change.header.elements, is.set?.elements.size);
        const bytes = Buffer.byteLength([...(is.set?.elements.keys() ?? [])].join(''));
        assert.equal(change.header.elementBytes, bytes);
      } else if (change.type === 'flag') {
        expectJoin(flagLattice, was.flag, change.delta, is.flag);
      } else if (change.type === 'map') {
        expectJoin(mapLattice, was.map, change.delta, is.map);
      } else expectJoin(counterLattice, was.counter, change.delta, is.counter);
    });
    for await (const { stored, computed, name } of this.verify()) {
      assert.equal(stored, computed, `the digest of ${name}`);
    }
  }

  #states(changes: readonly Change[]): Promise<NamedState[]> {
    return Promise.all(changes.map(({ ref }) => this.state(ref)));
  }
}

function expectJoin<S>(lattice: Lattice<S>, was: S | undefined, delta: S, is: S | undefined): void {
  const joined = lattice.clone(was ?? lattice.bottom());
  lattice.joinInto(joined, delta);
  const state = is ?? lattice.bottom();
  for (const [a, b] of [
    [joined, state],
    [state, joined],
  ] as const) {
    assert.ok(
      lattice.isBottom(lattice.difference(a, b)),
      `a delta of ${lattice.name} and its state`,
    );
  }
}
