import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { join, joinAll } from './lattice.ts';
import { flagLattice } from './lattices.ts';
import { castVote, emptyFlag, readFlag, retireVotes, type VoterSet } from './quorum-flag.ts';

const set = (version: number, ...voters: string[]): VoterSet => ({
  version,
  voters: new Set(voters),
});
const all = (...votes: ReturnType<typeof castVote>[]) => joinAll(flagLattice, votes);

describe('quorum flag', () => {
  it('goes up with a majority of the voters, each counted once', () => {
    const voters = set(1, 'a', 'b', 'c', 'd');
    const two = all(castVote(1, 'a'), castVote(1, 'b'), castVote(1, 'b'));
    assert.deepEqual(readFlag(two, voters), {
      isUp: false,
      votes: 2,
      majority: 3,
      isRetired: false,
    });
    assert.equal(readFlag(all(two, castVote(1, 'd')), voters).isUp, true);
    assert.equal(readFlag(emptyFlag(), set(1)).isUp, false);
  });

  it('does not count who is no voter', () => {
    const votes = all(castVote(1, 'a'), castVote(1, 'x'), castVote(1, 'y'));
    assert.equal(readFlag(votes, set(1, 'a', 'b', 'c')).votes, 1);
  });

  it('starts again when the set changes, on every replica alike', () => {
    const up = all(castVote(1, 'a'), castVote(1, 'b'));
    assert.equal(readFlag(up, set(1, 'a', 'b', 'c')).isUp, true);
    assert.equal(readFlag(up, set(2, 'a', 'b', 'd')).isUp, false);
    const again = all(up, castVote(2, 'a'), castVote(2, 'd'));
    assert.equal(readFlag(again, set(2, 'a', 'b', 'd')).isUp, true);
    assert.equal(readFlag(again, set(1, 'a', 'b', 'c')).isUp, true);
  });

  it('drops votes of old versions for good', () => {
    const votes = all(castVote(1, 'a'), castVote(2, 'a'));
    const dropped = join(flagLattice, votes, retireVotes(2));
    assert.deepEqual([...dropped.votes.keys()], [2]);
    assert.deepEqual(join(flagLattice, dropped, votes), dropped);
    assert.equal(readFlag(dropped, set(1, 'a')).isRetired, true);
  });

  it('refuses voters and versions that can not be', () => {
    for (const voter of ['', 'x'.repeat(129)]) {
      assert.throws(() => castVote(1, voter), { code: 'invalid_request' });
    }
    assert.throws(() => castVote(0, 'a'), { code: 'invalid_request' });
    assert.throws(() => retireVotes(1.5), { code: 'invalid_request' });
  });
});
