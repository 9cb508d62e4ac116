import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isEntity } from '@memplane/contracts';
import fc from 'fast-check';
import { MemplaneError } from './errors.ts';
import {
  entityOf,
  escapeId,
  joinMemoryId,
  scopeEntity,
  scopeMetadata,
  splitMemoryId,
  unescapeId,
} from './scope.ts';

test('outside ids are written byte by byte where an entity can not hold them', () => {
  assert.equal(escapeId('auth0|5f7'), 'auth0~7c5f7');
  assert.equal(escapeId('a~b'), 'a~7eb');
  assert.equal(escapeId('é'), '~c3~a9');
  assert.equal(escapeId('.'), '~2e');
  assert.equal(escapeId('..'), '~2e~2e');
  assert.equal(escapeId('plain-1.0_x@y'), 'plain-1.0_x@y');
});

test('any outside id makes a valid entity and comes back', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }), (id) => {
      fc.pre(id.isWellFormed());
      assert.equal(unescapeId(escapeId(id)), id);
      assert.ok(isEntity(entityOf('user', id)));
    }),
  );
});

test('two ids never make one entity', () => {
  const id = fc.string({ minLength: 1, maxLength: 8, unit: 'grapheme' });
  fc.assert(fc.property(id, id, (a, b) => a === b || escapeId(a) !== escapeId(b)));
});

test('the first of user, agent and session is the entity; all are metadata', () => {
  const scope = { sessionId: 's', agentId: 'a' };
  assert.equal(scopeEntity(scope), 'agent/a');
  assert.deepEqual(scopeMetadata(scope), { agentId: 'a', sessionId: 's' });
  assert.throws(() => scopeEntity({}), MemplaneError);
  assert.throws(() => scopeMetadata({ userId: '' }), MemplaneError);
});

test('memory ids join and split, whatever the memory is called', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 12 }), (memoryId) => {
      const entity = 'user/42';
      assert.deepEqual(splitMemoryId(joinMemoryId(entity, memoryId)), { entity, memoryId });
    }),
  );
  for (const wrong of ['', 'user/42', 'user#1', '#1', 'user/42#']) {
    assert.throws(() => splitMemoryId(wrong), MemplaneError, wrong);
  }
});
