import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { type AuditRecord, auditRecordSchema, MemplaneError } from '@memplane/contracts';
import { metrics } from '@opentelemetry/api';
import { ConfigError } from '../config.ts';
import type { Identity } from '../identity/identity.ts';
import { createLogger } from '../logger.ts';
import { AuditTrail, type AuditTrailOptions } from './audit-trail.ts';
import type { AskedCall } from './call-record.ts';

const READER: Identity = {
  tenant: 'acme',
  roles: new Set(['reader']),
  subject: 'token:reads',
  isPlane: false,
};
const READ: AskedCall = {
  operation: 'getEntity',
  role: 'reader',
  isRead: true,
  identity: READER,
  target: 'user/1',
};

/** A log that may be down, and trails that write to it from one folder. */
class World {
  readonly dir = mkdtempSync(path.join(tmpdir(), 'memplane-audit-'));
  readonly appended = new Map<string, AuditRecord>();
  problem: MemplaneError | undefined;

  constructor(t: TestContext) {
    t.after(() => rmSync(this.dir, { recursive: true, force: true }));
  }

  trail(more: Partial<AuditTrailOptions> = {}): AuditTrail {
    return new AuditTrail({
      service: 'materializer',
      level: 'refusals',
      reads_every: 1,
      dir: this.dir,
      spool_bytes_max: 1024 * 1024,
      sink: async (records) => {
        if (this.problem !== undefined) throw this.problem;
        for (const record of records) this.appended.set(record.id, auditRecordSchema.parse(record));
      },
      now: () => 1_767_225_600_000,
      logger: createLogger('test', 'silent'),
      meter: metrics.getMeter('test'),
      ...more,
    });
  }

  get counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { outcome, count } of this.appended.values()) {
      counts[outcome] = (counts[outcome] ?? 0) + count;
    }
    return counts;
  }
}

test('refusals, and what operators did, are recorded; other calls where all is', async (t) => {
  for (const [level, counts] of [
    ['refusals', { forbidden: 1, ok: 1 }],
    ['all', { forbidden: 1, ok: 3, not_found: 1 }],
  ] as const) {
    const world = new World(t);
    const trail = world.trail({ level });
    trail.record(READ, 'ok');
    trail.record(READ, 'not_found');
    trail.record({ ...READ, role: 'writer', isRead: false }, 'ok');
    trail.record({ ...READ, operation: 'reconcile', role: 'operator', isRead: false }, 'ok');
    trail.record(READ, 'forbidden');
    trail.record({ ...READ, identity: { ...READER, isPlane: true } }, 'forbidden');
    await trail.stop();
    assert.deepEqual(world.counts, counts, level);
  }
});

test('fewer reads, never fewer refusals', async (t) => {
  const world = new World(t);
  const trail = world.trail({ level: 'all', reads_every: 10 });
  for (let i = 0; i < 100; i++) trail.record(READ, i % 4 === 0 ? 'forbidden' : 'ok');
  await trail.stop();
  assert.equal(world.counts['forbidden'], 25);
  assert.equal(world.counts['ok'], 8);
});

test('what the log did not take is there at the next start, under the same ids', async (t) => {
  const world = new World(t);
  world.problem = new MemplaneError('dependency_unavailable', 'down');
  const first = world.trail();
  for (let i = 0; i < 5; i++) first.record({ ...READ, target: `user/${i % 2}` }, 'forbidden');
  await first.stop();
  const [file = ''] = readdirSync(world.dir);
  // Killed within a line.
  appendFileSync(path.join(world.dir, file), '{"time":"2026-');
  world.problem = undefined;
  const second = world.trail();
  second.record(READ, 'unauthorized');
  await second.stop();
  assert.deepEqual(world.counts, { forbidden: 5, unauthorized: 1 });
  assert.ok([...world.appended.keys()].some((id) => id === `${file}.1`));
  assert.deepEqual(readdirSync(world.dir), []);
});

test('a file that is refused for what it holds keeps back no other', async (t) => {
  const world = new World(t);
  writeFileSync(path.join(world.dir, '0-bad.ndjson'), '{"no":"record"}\n');
  const trail = world.trail({
    sink: async (records) => {
      for (const record of records) {
        const { success } = auditRecordSchema.safeParse(record);
        if (!success) throw new MemplaneError('invalid_request', 'no record');
        world.appended.set(record.id, record);
      }
    },
  });
  trail.record(READ, 'forbidden');
  await trail.stop();
  assert.deepEqual(world.counts, { forbidden: 1 });
  assert.deepEqual(readdirSync(world.dir), ['0-bad.ndjson']);
});

test('beyond the bound calls are counted, and the count is recorded', async (t) => {
  const world = new World(t);
  world.problem = new MemplaneError('dependency_unavailable', 'down');
  const trail = world.trail({ spool_bytes_max: 10_000 });
  for (let i = 0; i < 200; i++) trail.record(READ, 'forbidden');
  world.problem = undefined;
  await trail.stop();
  const { forbidden = 0, dropped = 0 } = world.counts;
  assert.ok(forbidden > 10 && dropped > 10, JSON.stringify(world.counts));
  assert.equal(forbidden + dropped, 200);
});

test('what a path holds that is neither an entity nor a name is kept out', async (t) => {
  const world = new World(t);
  const trail = world.trail();
  trail.record({ ...READ, target: 'user/1 Bearer of-somebody' }, 'forbidden');
  await trail.stop();
  const [record] = world.appended.values();
  assert.equal(record?.target, undefined);
});

test('a folder that can not be written ends the start, with its setting', (t) => {
  const world = new World(t);
  const file = path.join(world.dir, 'file');
  writeFileSync(file, '');
  assert.throws(
    () => world.trail({ dir: path.join(file, 'in') }),
    (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, /MEMPLANE_AUDIT_DIR/);
      return true;
    },
  );
});
