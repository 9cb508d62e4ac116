import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { etcdPlan } from './etcd.ts';
import { milvusPlan } from './milvus.ts';
import type { ServerPlan } from './plan.ts';
import { ServerProcess } from './process.ts';
import { redisPlan } from './redis.ts';
import { versitygwPlan } from './versitygw.ts';

const PLANS: Readonly<Record<string, (dir: string) => Promise<ServerPlan>>> = {
  redis: (dir) => redisPlan({ dir, password: 'a-secret' }),
  etcd: (dir) => etcdPlan({ dir }),
  versitygw: (dir) => versitygwPlan({ dir, accessKey: 'key', secretKey: 'a-long-secret' }),
  milvus: (dir) => milvusPlan({ dir }),
};

for (const [name, plan] of Object.entries(PLANS)) {
  test(`${name} starts, crashes and starts again on its data`, async (t) => {
    const dir = mkdtempSync(join(tmpdir(), `memplane-${name}-`));
    t.after(() => rmSync(dir, { recursive: true, force: true }));
    await using server = await ServerProcess.start(await plan(dir));
    t.diagnostic(`ready after ${Math.round(server.readyAfterMs)} ms`);
    await server.kill();
    await assert.rejects(server.plan.check());
    await server.start();
    t.diagnostic(`again after ${Math.round(server.readyAfterMs)} ms`);
    await server.stop();
    assert.equal(server.running, false);
  });
}

test('a server that can not start says why, with the end of its log', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'memplane-broken-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const plan = await redisPlan({ dir, settings: { 'no-such-setting': '1' } });
  await assert.rejects(ServerProcess.start(plan), /redis: ended[\s\S]*no-such-setting/);
});
