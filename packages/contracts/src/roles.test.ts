import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as contracts from './index.ts';

/** What instances of the materializer ask of each other on a port of their own. */
const AMONG_PEERS = ['runPart', 'getPartitionFeed'];

test('every operation of the API names the role that it needs', () => {
  const operations = Object.values(contracts).filter(
    (one) => typeof one === 'object' && 'method' in one && 'path' in one,
  );
  assert.ok(operations.length > 30);
  const without = operations.filter((one) => !('role' in one)).map(({ id }) => id);
  assert.deepEqual(without.sort(), [...AMONG_PEERS].sort());
});
