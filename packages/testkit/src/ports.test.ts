import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePorts } from './ports.ts';

test('no port is given that fetch refuses to call', async (t) => {
  const drawn = [0.008, 0.008, 0.5];
  t.mock.method(Math, 'random', () => drawn.shift() ?? 0.6);
  await assert.rejects(fetch('http://127.0.0.1:10080'), ({ cause }) => /bad port/.test(cause));
  const [port] = await freePorts(1);
  assert.notEqual(port, 10_080);
  assert.equal(drawn.length, 0);
});
