import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Seeded, seeded } from '@memplane/testkit';
import { setDigest } from './codec.ts';
import { beginComparison, compareLevel, comparePieces, summarize } from './compare-pieces.ts';
import { sameContext } from './context.ts';
import { joinAll } from './lattice.ts';
import { joinSets } from './or-set.ts';
import * as codec from './piece-codec.ts';
import { elementHash, type PieceNode, type PieceTree, piecesBelow } from './piece-tree.ts';
import * as pieced from './pieced-set.ts';
import { patchLattice, type SetPatch } from './set-patch.ts';

const A = 'a'.repeat(32);
const B = 'b'.repeat(32);
const SEEDS = 300;

/** Everything there is to see of a tree's shape. */
function shape(node: PieceNode): unknown {
  return {
    prefix: node.prefix,
    count: node.count,
    digest: node.digest,
    elements: node.elements && [...node.elements].sort((a, b) => (a[0] < b[0] ? -1 : 1)),
    children: node.children && [...node.children].sort().map(([, child]) => shape(child)),
  };
}

function mutate(set: pieced.PiecedSet, at: string, random: Seeded): SetPatch {
  const element = `e${random.int(0, 60)}`;
  if (random.chance(0.45)) return pieced.removeFromPieces(set, element);
  return pieced.addToPieces(set, at, element);
}

/** Two replicas that know some of each other's mutations. */
function diverged(random: Seeded, steps: number, bound: number) {
  const sets = [pieced.emptyPiecedSet(bound), pieced.emptyPiecedSet(bound)] as const;
  for (let step = 0; step < steps; step++) {
    const at = random.int(0, 1) as 0 | 1;
    const patch = mutate(sets[at], at === 0 ? A : B, random);
    pieced.joinPatchInto(sets[at], patch);
    if (random.chance(0.7)) pieced.joinPatchInto(sets[1 - at] as pieced.PiecedSet, patch);
  }
  return sets;
}

/** Of the replica that is asked. */
const LIFE = '1'.repeat(32);

function beginOf(set: pieced.PiecedSet): pieced.ExchangeBegin {
  return { life: LIFE, context: pieced.exchangeOf(set, []).context };
}

/** One direction of anti-entropy as services do it: `to` learns what `from` knows. */
function pull(to: pieced.PiecedSet, from: pieced.PiecedSet): void {
  const begin = beginOf(from);
  const lives = [LIFE];
  let { ask, differing } = beginComparison(to.tree, from.tree.root);
  while (ask.length > 0) {
    const answer = codec.decodeSummaries(codec.encodeSummaries(summarize(from.tree, ask)));
    const level = compareLevel(to.tree, answer);
    ask = level.ask;
    differing = [...differing, ...level.differing];
    lives.push(LIFE);
  }
  const bytes = codec.encodeExchange(pieced.exchangeOf(from, differing));
  pieced.joinExchangeInto(to, codec.decodeExchange(bytes));
  assert.ok(pieced.finishExchange(to, begin, lives));
}

describe('pieces of a set', () => {
  it('are the same however the set came about, and its digest is that of the whole', () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = seeded(seed);
      const [a] = diverged(random, 80, random.int(1, 6));
      const whole = pieced.wholeSet(a);
      const shuffled = { ...whole, elements: new Map(random.shuffle([...whole.elements])) };
      const again = pieced.cutSet(shuffled, a.tree.piece_elements_max);
      assert.deepEqual(shape(a.tree.root), shape(again.tree.root), `seed ${seed}`);
      assert.equal(pieced.piecedSetDigest(a), setDigest(whole), `seed ${seed}`);
    }
  });

  it('hold at most their bound, and parents more', () => {
    const check = (node: PieceNode, tree: PieceTree): void => {
      if (node.children === undefined) assert.ok(node.count <= tree.piece_elements_max);
      else assert.ok(node.count > tree.piece_elements_max);
      for (const child of node.children?.values() ?? []) check(child, tree);
    };
    for (let seed = 0; seed < SEEDS; seed++) {
      const [a] = diverged(seeded(seed), 80, 4);
      check(a.tree.root, a.tree);
    }
  });

  it('that a change does not name need not be written', () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = seeded(seed);
      const set = pieced.emptyPiecedSet(random.int(1, 6));
      const stored = new Map<string, Uint8Array>();
      for (let step = 0; step < 60; step++) {
        const change = pieced.joinPatchInto(set, mutate(set, A, random));
        for (const prefix of change.dropped) stored.delete(prefix);
        for (const prefix of change.written) {
          const [piece] = piecesBelow(set.tree, prefix);
          assert.equal(piece?.prefix, prefix);
          stored.set(prefix, codec.encodePiece(prefix, piece?.elements ?? new Map()));
        }
      }
      const expected = piecesBelow(set.tree, '').filter(({ count }) => count > 0);
      const found = [...stored].filter(
        ([, bytes]) => codec.decodePiece(bytes, set.context).elements.size > 0,
      );
      assert.deepEqual(
        found.sort((a, b) => (a[0] < b[0] ? -1 : 1)),
        expected.map((it) => [it.prefix, codec.encodePiece(it.prefix, it.elements ?? new Map())]),
        `seed ${seed}`,
      );
    }
  });

  it('are touched one by one: an add writes one, unless it splits it', () => {
    const set = pieced.emptyPiecedSet();
    for (let i = 0; i < 20_000; i++) {
      const change = pieced.joinPatchInto(set, pieced.addToPieces(set, A, `element ${i}`));
      if (change.dropped.size === 0) assert.equal(change.written.size, 1);
      else assert.ok(change.written.size <= 17);
    }
  });
});

describe('a patch of a set in pieces', () => {
  it('is news as far as the set lacks it, and does as much by its news alone', () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = seeded(seed);
      const [a, b] = diverged(random, 60, 3);
      const patches = Array.from({ length: 4 }, () => {
        const patch = mutate(a, A, random);
        pieced.joinPatchInto(a, patch);
        return patch;
      });
      const patch = joinAll(patchLattice, patches.toSpliced(1, 1));
      const read = codec.decodePatch(codec.encodePatch(patch));
      assert.deepEqual(codec.encodePatch(read), codec.encodePatch(patch));
      const whole = pieced.cutSet(pieced.wholeSet(b), 3);
      const news = pieced.patchNews(patch, b);
      pieced.joinPatchInto(whole, patch);
      pieced.joinPatchInto(b, news);
      assert.equal(pieced.piecedSetDigest(b), pieced.piecedSetDigest(whole), `seed ${seed}`);
      assert.equal(pieced.patchNews(patch, b).size, 0);
    }
  });
});

describe('an exchange of pieces', () => {
  it('does what a join of the whole sets does, in either direction', () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const [a, b] = diverged(seeded(seed), 80, seeded(seed).int(1, 6));
      const joined = setDigest(joinSets(pieced.wholeSet(a), pieced.wholeSet(b)));
      pull(a, b);
      assert.equal(pieced.piecedSetDigest(a), joined, `seed ${seed}`);
      pull(b, a);
      assert.equal(pieced.piecedSetDigest(b), joined, `seed ${seed}`);
    }
  });

  it('loses nothing and brings nothing back while both sides go on', () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = seeded(seed);
      const [a, b] = diverged(random, 60, 3);
      const late: SetPatch[] = [];
      const change = (set: pieced.PiecedSet, at: string) => {
        const patch = mutate(set, at, random);
        pieced.joinPatchInto(set, patch);
        late.push(patch);
      };
      const begin = beginOf(b);
      let { ask, differing } = beginComparison(a.tree, b.tree.root);
      while (ask.length > 0 || differing.length > 0) {
        pieced.joinExchangeInto(a, pieced.exchangeOf(b, differing));
        change(a, A);
        const answer = summarize(b.tree, ask);
        change(b, B);
        ({ ask, differing } = compareLevel(a.tree, answer));
      }
      const expected = joinSets(pieced.wholeSet(a), pieced.wholeSet(b));
      assert.ok(pieced.finishExchange(a, begin, [LIFE]));
      for (const patch of random.shuffle(late)) {
        pieced.joinPatchInto(a, patch);
        pieced.joinPatchInto(b, patch);
      }
      pull(a, b);
      pull(b, a);
      assert.ok(sameContext(a.context, b.context));
      assert.equal(pieced.piecedSetDigest(a), setDigest(expected), `seed ${seed}`);
      assert.equal(pieced.piecedSetDigest(b), setDigest(expected), `seed ${seed}`);
    }
  });

  it('begins anew when the other has lost something meanwhile, which was not removed', () => {
    const [a, b, c] = [pieced.emptyPiecedSet(), pieced.emptyPiecedSet(), pieced.emptyPiecedSet()];
    const add = pieced.addToPieces(b, B, 'x');
    for (const set of [b, c]) pieced.joinPatchInto(set, add);
    const begin = beginOf(b);
    const later = pieced.emptyPiecedSet();
    assert.deepEqual(comparePieces(a.tree, later.tree).differing, []);
    assert.equal(pieced.finishExchange(a, begin, ['2'.repeat(32)]), false);
    pull(a, later);
    pull(a, c);
    assert.deepEqual(pieced.wholeSet(a), pieced.wholeSet(c));
  });

  it('lets a removal win over an old add without a trace in the piece', () => {
    const [a, b] = [pieced.emptyPiecedSet(2), pieced.emptyPiecedSet(2)];
    const adds = Array.from({ length: 9 }, (_, i) => {
      const add = pieced.addToPieces(a, A, `e${i}`);
      pieced.joinPatchInto(a, add);
      return add;
    });
    for (const add of adds) pieced.joinPatchInto(b, add);
    pieced.joinPatchInto(a, pieced.removeFromPieces(a, 'e4'));
    const [piece] = piecesBelow(a.tree, elementHash('e4'));
    assert.equal(piece?.elements?.has('e4') ?? false, false);
    pull(b, a);
    assert.equal(pieced.wholeSet(b).elements.size, 8);
    for (const add of adds) pieced.joinPatchInto(b, add);
    assert.equal(pieced.wholeSet(b).elements.size, 8);
  });

  it('costs digests by the number of differences, not of elements', () => {
    const random = seeded(7);
    const a = pieced.emptyPiecedSet(16);
    const b = pieced.emptyPiecedSet(16);
    for (let i = 0; i < 20_000; i++) {
      const add = pieced.addToPieces(a, A, `element ${i}`);
      pieced.joinPatchInto(a, add);
      pieced.joinPatchInto(b, add);
    }
    assert.deepEqual(comparePieces(a.tree, b.tree), { differing: [], digests: 1, rounds: 1 });
    const depth = 4;
    for (const differences of [1, 10, 100]) {
      for (let i = 0; i < differences; i++) {
        const element = `element ${random.int(0, 19_999)}`;
        pieced.joinPatchInto(a, pieced.addToPieces(a, A, element));
      }
      const { differing, digests, rounds } = comparePieces(a.tree, b.tree);
      assert.ok(differing.length > 0 && differing.length <= differences);
      assert.ok(digests <= 1 + differences * 16 * depth, `${digests} digests`);
      assert.ok(rounds <= 1 + depth);
      pull(b, a);
      assert.deepEqual(comparePieces(a.tree, b.tree).differing, []);
    }
  });
});
