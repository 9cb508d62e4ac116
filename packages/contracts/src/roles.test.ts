import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as contracts from './index.ts';

/**
 * For services of the plane alone: what they have recorded for the audit, a head for a linearizable
 * read, and what materializers ask each other.
 */
const OF_THE_PLANE = ['appendAudit', 'finishHead', 'runPart', 'getPartitionFeed'];

test('every operation of the API names the role that it needs', () => {
  const operations = Object.values(contracts).filter(
    (one) => typeof one === 'object' && 'method' in one && 'path' in one,
  );
  assert.ok(operations.length > 30);
  const without = operations.filter((one) => !('role' in one)).map(({ id }) => id);
  assert.deepEqual(without.sort(), [...OF_THE_PLANE].sort());
});
