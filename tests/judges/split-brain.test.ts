/**
 * Split brain: holders of a lease that are stopped beyond its time (SIGSTOP), or cut off, and go on
 * with what they believed while others have taken over. No token gets in that is lower than one
 * which was answered already.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  expectStatus,
  figure,
  Plane,
  range,
  ScratchFolder,
  type Seeded,
  scaled,
  testSeed,
} from '@memplane/testkit';
import { whyNoNamespaces } from '../replicas/namespace.ts';
import { Cuttable } from './split-brain/cut.ts';
import { Holders, type Line } from './split-brain/holders.ts';
import { judgeTokens } from './split-brain/verdict.ts';

const RUN_MS = scaled('split_brain_ms', { ci: 10_000, soak: 600_000 });
const LATE_MIN = RUN_MS / 200;
const HOLDERS = 3;
const TTL_MS = 250;
const TOKEN = 'split-brain';
const ENTITY = 'session/held';
const PAGE = 1_000;

test('the judge rejects a token that got in late, and one that went back', () => {
  const granted = (token: number, atNs: number): Line => ({ kind: 'granted', token, atNs });
  const tried = (kind: 'accepted' | 'refused', token: number, sentNs: number): Line => {
    return { kind, token, sentNs, atNs: sentNs + 1 };
  };
  const grants = [granted(1, 10), granted(2, 20)];
  const good = [...grants, tried('accepted', 1, 15), tried('accepted', 2, 25)];
  assert.deepEqual(judgeTokens([...good, tried('refused', 1, 30)], [1, 2]).wrong, []);
  assert.equal(judgeTokens([...good, tried('accepted', 1, 30)], [1, 1, 2]).wrong.length, 1);
  assert.equal(judgeTokens(good, [2, 1]).wrong.length, 1);
  assert.equal(judgeTokens([...good, granted(2, 40)], [1, 2]).wrong.length, 1);
});

test(`holders stopped and cut for ${RUN_MS / 1_000} s: no token gets in late`, async (t) => {
  const why = await whyNoNamespaces();
  if (why !== undefined) t.diagnostic(`nobody is cut off: ${why}`);
  const random = testSeed('split brain');
  using folder = new ScratchFolder('split-brain');
  const zones = join(folder.path, 'zones.yaml');
  writeFileSync(zones, 'zones: [{match: "session/*", consistency: strong}]\n');
  await using plane = await Plane.launch({
    dataDir: join(folder.path, 'data'),
    env: { MEMPLANE_ZONES: zones, MEMPLANE_HOST: '0.0.0.0', MEMPLANE_TOKEN: TOKEN },
  });
  await plane.ready(['event-ingest', 'materializer']);
  await using apart = why === undefined ? await Cuttable.create() : undefined;
  using holders = new Holders({ lease: 'held', entity: ENTITY, ttlMs: TTL_MS, token: TOKEN });
  for (const n of range(HOLDERS)) {
    holders.add(`here-${n}`, [plane.ingest]);
    if (apart === undefined) continue;
    const from = plane.ingest.replace('127.0.0.1', apart.host);
    holders.add(`apart-${n}`, [from], apart.namespace);
  }
  await disturb(holders, apart, random);
  await holders.end();
  const verdict = judgeTokens(holders.lines, await tokensOf(plane));
  assert.deepEqual(verdict.wrong.slice(0, 10), []);
  assert.ok(verdict.granted > 3, `the lease went on: ${verdict.granted}`);
  assert.ok(verdict.accepted > 10, `appends got in: ${verdict.accepted}`);
  assert.ok(verdict.late >= LATE_MIN, `tokens came late: ${verdict.late}`);
  figure('split brain: leases granted', verdict.granted);
  figure('split brain: appends accepted', verdict.accepted);
  figure('split brain: appends tried after a higher token was answered', verdict.late);
});

async function disturb(holders: Holders, apart: Cuttable | undefined, random: Seeded) {
  const end = performance.now() + RUN_MS;
  while (performance.now() < end) {
    const ms = TTL_MS * (1.2 + random.next() * 2);
    if (apart !== undefined && random.chance(0.3)) await apart.cut(ms);
    else await holders.freezeOne(random, ms);
    await new Promise((resolve) => setTimeout(resolve, random.int(10, 200)));
  }
}

interface Page {
  readonly events: readonly { readonly event: { readonly data: { data: { token: number } } } }[];
  /** Where the next page begins. */
  readonly next?: number;
}

/** Of all events of the entity, answered or not, in the order of its history. */
async function tokensOf(plane: Plane): Promise<number[]> {
  const tokens: number[] = [];
  const headers = { authorization: `Bearer ${TOKEN}` };
  const read = `${plane.materializer}/v1/entities/${ENTITY}`;
  await expectStatus(200, 'GET', `${read}?consistency=linearizable`, { headers });
  for (let from: number | undefined = 0; from !== undefined; ) {
    const url: string = `${read}/history?from=${from}&limit=${PAGE}`;
    const page: Page = await expectStatus<Page>(200, 'GET', url, { headers });
    tokens.push(...page.events.map(({ event }) => event.data.data.token));
    from = page.next;
  }
  return tokens;
}
