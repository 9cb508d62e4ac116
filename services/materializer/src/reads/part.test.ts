import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemplaneError } from '@memplane/contracts';
import { emptyShard } from '../domain/shard-record.ts';
import { Shard, WaitLimit } from '../shard.ts';
import { ShardSet } from '../shard-set.ts';
import { waiting } from './cuts.ts';
import { type Part, runHere } from './part.ts';
import type { Plane } from './plane.ts';

const nothing = new MemplaneError('not_found', 'There is no such thing.');

/** Runs a part that finds nothing, while the ownership goes or stays. */
async function codeOf(epochAfter: number | undefined): Promise<string | undefined> {
  let epoch: number | undefined = 1;
  const shards = new ShardSet(
    { info: { logId: '', epoch: 0, partitions: 1 } },
    { epochOf: () => epoch },
  );
  const record = emptyShard('a', 0);
  shards.add(new Shard(0, record, { ownerEpoch: 1 }, new WaitLimit(1)));
  const part: Part<null, never> = {
    name: 'nothing',
    run: async () => {
      epoch = epochAfter;
      throw nothing;
    },
  };
  const wait = waiting(0, new AbortController().signal);
  const failed = await runHere({ shards } as unknown as Plane, part, [0], null, wait).then(
    () => undefined,
    (error: MemplaneError) => error,
  );
  return failed?.code;
}

test('who has lost a partition does not say that something is not there either', async () => {
  assert.equal(await codeOf(1), 'not_found');
  assert.equal(await codeOf(undefined), 'owner_moving');
  assert.equal(await codeOf(2), 'owner_moving');
});
