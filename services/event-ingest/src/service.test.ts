import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { formatHlc, parseHlc } from '@memplane/clock';
import { type AppendAnswer, decodeToken, MemplaneError } from '@memplane/contracts';
import {
  type EmbeddedLog,
  type FileSystem,
  type LogFile,
  nodeFileSystem,
  openEmbeddedLog,
  openEmbeddedReader,
} from '@memplane/event-log';
import type { Invoker, Problem } from '@memplane/runtime';
import { readIngestConfig } from './config.ts';
import { createEventIngest, type EventIngest, type IngestContext } from './service.ts';

/** The real file system, with a disk that can be full. */
class Disk {
  full = false;
  /** Set: writes wait for it. */
  gate: Promise<void> | undefined;

  get fileSystem(): FileSystem {
    const wrap = (file: LogFile): LogFile => ({
      write: async (buffers, position) => {
        await this.gate;
        if (this.full) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
        await file.write(buffers, position);
      },
      writeSync: (buffer, position) => file.writeSync(buffer, position),
      read: (buffer, length, position) => file.read(buffer, length, position),
      readSync: (buffer, length, position) => file.readSync(buffer, length, position),
      sync: () => file.sync(),
      size: () => file.size(),
      truncate: (length) => file.truncate(length),
      close: () => file.close(),
    });
    return {
      makeDir: (dir) => nodeFileSystem.makeDir(dir),
      list: (dir) => nodeFileSystem.list(dir),
      open: (file, mode) => wrap(nodeFileSystem.open(file, mode)),
      sizeOf: (file) => nodeFileSystem.sizeOf(file),
      remove: (file) => nodeFileSystem.remove(file),
      readText: (file) => nodeFileSystem.readText(file),
      replaceText: (file, text) => nodeFileSystem.replaceText(file, text),
      syncDir: (dir) => nodeFileSystem.syncDir(dir),
    };
  }
}

interface Plane {
  readonly log: EmbeddedLog;
  readonly service: EventIngest;
  readonly disk: Disk;
  readonly url: string;
  post(body: unknown, headers?: Record<string, string>): Promise<Answer>;
  ready(): Promise<{ status: number; body: Record<string, unknown> }>;
  stop(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: AppendAnswer & Problem;
}

async function start(
  dir: string,
  env: Record<string, string> = {},
  context: Partial<IngestContext> = {},
): Promise<Plane> {
  const disk = new Disk();
  const log = await openEmbeddedLog({ dir, partitions: 3, fileSystem: disk.fileSystem });
  const quiet = { MEMPLANE_EVENT_INGEST_PORT: '0', MEMPLANE_LOG_LEVEL: 'silent' };
  const config = readIngestConfig({ ...quiet, ...env });
  const service = await createEventIngest(config, { logWriter: log.writer, ...context });
  await service.start();
  const url = `http://127.0.0.1:${service.port}`;
  return {
    log,
    service,
    disk,
    url,
    async post(body, headers = {}) {
      const response = await fetch(`${url}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
      });
      return {
        status: response.status,
        headers: response.headers,
        body: (await response.json()) as Answer['body'],
      };
    },
    async ready() {
      const response = await fetch(`${url}/readyz`);
      return { status: response.status, body: (await response.json()) as Record<string, unknown> };
    },
    async stop() {
      await service.drain();
      await service.stop();
      await log.writer.close();
    },
  };
}

async function withDir(work: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(path.join(tmpdir(), 'memplane-ingest-'));
  try {
    await work(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const event = (id: string, entity = 'user/42', more: object = {}) => ({
  id,
  type: 'T',
  entity,
  ...more,
});

test('what is answered is in the log, at that position, and the token covers it', () =>
  withDir(async (dir) => {
    const proof = { 'dapr-api-token': 'app-token' };
    const plane = await start(dir, { APP_API_TOKEN: 'app-token' });
    const { status, body } = await plane.post(
      [event('a'), event('b', 'user/43', { data: { n: 1 } }), { type: 'T', entity: 'user/42' }],
      {
        ...proof,
        'dapr-caller-app-id': 'agent-7',
        traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
      },
    );
    assert.equal(status, 201);
    assert.match(body.accepted[2]?.id ?? '', /^[0-9a-f-]{36}$/);
    const reader = await openEmbeddedReader({ dir, shared: plane.log.shared });
    const cut = decodeToken(body.token);
    assert.equal(cut.logId, plane.log.writer.info.logId);
    for (const { id, entity, partition, offset, hlc, duplicate } of body.accepted) {
      assert.equal(duplicate, false);
      const [record] = await reader.read(partition, offset, { maxBytes: 1, maxRecords: 1 });
      const stored = JSON.parse(record?.value.toString() ?? '');
      assert.deepEqual(
        { id: stored.id, subject: stored.subject, hlc: stored.hlc, source: stored.source },
        { id, subject: entity, hlc, source: 'agent-7' },
      );
      assert.equal(stored.traceparent, `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`);
      assert.equal(formatHlc(record?.hlc ?? 0n), hlc);
      assert.ok((cut.offsets.get(partition) ?? -1) >= offset);
    }
    assert.deepEqual((await plane.post([], proof)).body.accepted, []);
    assert.equal((await plane.post([])).status, 401);
    await reader.close();
    await plane.stop();
  }));

test('a restart keeps the record of recent ids, and stamps never go back', () =>
  withDir(async (dir) => {
    const future = Date.now() + 3_600_000;
    const first = await start(dir, {}, { now: () => future });
    const { body: before } = await first.post([event('a'), event('b', 'user/43')]);
    await first.stop();
    const second = await start(dir);
    const { body: again } = await second.post([event('b', 'user/43'), event('a')]);
    assert.deepEqual(
      again.accepted,
      before.accepted.map((one) => ({ ...one, duplicate: true })).reverse(),
    );
    assert.deepEqual(decodeToken(again.token), decodeToken(before.token));
    const { status, body } = await second.post(event('a', 'user/42', { data: 1 }));
    assert.deepEqual([status, body.code, body.field], [409, 'id_reused', 'body.id']);
    const { body: later } = await second.post(event('c'));
    const highest = parseHlc(before.accepted[1]?.hlc ?? '');
    assert.ok(parseHlc(later.accepted[0]?.hlc ?? '') > highest);
    assert.ok(((await second.ready()).body['clockAheadMs'] as number) > 3_000_000);
    await second.stop();
  }));

test('stamps from too far ahead are refused, near ones are taken in', () =>
  withDir(async (dir) => {
    const now = 1_790_000_000_000;
    const plane = await start(dir, { MEMPLANE_CLOCK_DRIFT_MS: '500' }, { now: () => now });
    const cloud = (id: string, ms: number) => ({
      specversion: '1.0',
      id,
      type: 'T',
      source: 's',
      subject: 'user/42',
      hlc: formatHlc(BigInt(ms) << 16n),
      data: { data: 1 },
    });
    const far = await plane.post([cloud('a', now), cloud('b', now + 501)]);
    assert.deepEqual(
      [far.status, far.body.code, far.body.field],
      [400, 'hlc_too_far_ahead', 'body[1].hlc'],
    );
    assert.equal(plane.log.writer.highestHlc, 0n);
    const near = await plane.post(cloud('b', now + 500));
    assert.ok(parseHlc(near.body.accepted[0]?.hlc ?? '') > BigInt(now + 500) << 16n);
    await plane.stop();
  }));

test('a full disk is said, changes nothing, and ends by itself', () =>
  withDir(async (dir) => {
    const plane = await start(dir, { MEMPLANE_STORAGE_RETRY_MS: '60000' });
    await plane.post(event('a'));
    plane.disk.full = true;
    const { status, body } = await plane.post(event('b'));
    assert.deepEqual([status, body.code, body.transient], [503, 'storage_full', true]);
    const unready = await plane.ready();
    assert.deepEqual([unready.status, unready.body['storage']], [503, 'storage_full']);
    plane.disk.full = false;
    const { body: again } = await plane.post(event('b'));
    assert.deepEqual(
      again.accepted.map((one) => one.duplicate),
      [false],
    );
    assert.equal((await plane.ready()).status, 200);
    await plane.stop();
  }));

test('what does not fit is refused with Retry-After, and admitted again later', () =>
  withDir(async (dir) => {
    const plane = await start(dir, { MEMPLANE_INGEST_INFLIGHT_EVENTS_MAX: '3' });
    const gate = Promise.withResolvers<void>();
    plane.disk.gate = gate.promise;
    const first = plane.post([event('a'), event('b')]);
    while ((await plane.ready()).body['inflightEvents'] !== 2) await new Promise(setImmediate);
    const { status, headers, body } = await plane.post([event('c'), event('d')]);
    assert.deepEqual(
      [status, body.code, body['limit']],
      [429, 'overloaded', 'inflight_events_max'],
    );
    assert.equal(headers.get('retry-after'), '1');
    gate.resolve();
    plane.disk.gate = undefined;
    assert.equal((await first).status, 201);
    assert.equal((await plane.post([event('c'), event('d')])).status, 201);
    assert.equal((await plane.ready()).body['inflightBytes'], 0);
    await plane.stop();
  }));

test('a drain answers what is under way and refuses what comes', () =>
  withDir(async (dir) => {
    const plane = await start(dir);
    const gate = Promise.withResolvers<void>();
    plane.disk.gate = gate.promise;
    const first = plane.post(event('a'));
    while ((await plane.ready()).body['inflightEvents'] !== 1) await new Promise(setImmediate);
    const draining = plane.service.drain();
    const refused = await plane.post(event('b'));
    assert.deepEqual([refused.status, refused.body.code], [503, 'shutting_down']);
    gate.resolve();
    assert.equal((await first).status, 201);
    await draining;
    await plane.stop();
  }));

test('appends wait for an archive that is too far behind', () =>
  withDir(async (dir) => {
    let lag = 2000;
    const asked = { count: 0 };
    const invoker = {
      async invoke() {
        asked.count++;
        if (lag < 0) throw new MemplaneError('dependency_unavailable', 'no answer');
        return { ready: true, archiveLagBytes: lag };
      },
    } as unknown as Invoker;
    const env = { MEMPLANE_ARCHIVE_LAG_BYTES_MAX: '1000', MEMPLANE_ARCHIVE_POLL_MS: '100' };
    const plane = await start(dir, env, { invoker });
    const polled = async () => {
      const before = asked.count;
      while (asked.count < before + 2) await new Promise((r) => setTimeout(r, 10));
    };
    await polled();
    const { status, body } = await plane.post(event('a'));
    assert.deepEqual([status, body.code], [429, 'archive_behind']);
    assert.equal((await plane.ready()).body['archiveBehind'], true);
    lag = -1;
    await polled();
    assert.equal((await plane.post(event('a'))).status, 429, 'the last figure counts');
    lag = 10;
    await polled();
    assert.equal((await plane.post(event('a'))).status, 201);
    await plane.stop();
  }));

test('appends slow down for views and an index that fall ever further behind', () =>
  withDir(async (dir) => {
    let [lag, step] = [0, 100];
    const appliedOffsets = Array.from({ length: 64 }, () => -1);
    const asked = { materializer: 0, 'vector-index': 0 };
    const invoker = {
      async invoke(service: keyof typeof asked) {
        asked[service]++;
        if (service === 'vector-index') return { appliedOffsets };
        lag += step;
        return { lag };
      },
    } as unknown as Invoker;
    const env = {
      MEMPLANE_VIEW_LAG_EVENTS_MAX: '1000',
      MEMPLANE_INDEX_LAG_EVENTS_MAX: '10',
      MEMPLANE_LAG_POLL_MS: '100',
    };
    const plane = await start(dir, env, { invoker });
    const polled = async (service: keyof typeof asked) => {
      const before = asked[service];
      while (asked[service] < before + 2) await new Promise((r) => setTimeout(r, 10));
    };
    assert.equal((await plane.post(event('a'))).status, 201);
    while (lag < 1_200) await polled('materializer');
    const { status, body } = await plane.post(event('b'));
    assert.deepEqual([status, body.code], [429, 'views_behind']);
    [lag, step] = [0, 0];
    await polled('materializer');
    assert.equal((await plane.post(event('b'))).status, 201);
    for (let i = 0; i < 50; i++) await plane.post(event(`c${i}`));
    await polled('vector-index');
    await polled('vector-index');
    const behind = await plane.post(event('d'));
    assert.deepEqual([behind.status, behind.body.code], [429, 'index_behind']);
    assert.equal((await plane.ready()).body['refusedPart'], 1);
    await plane.stop();
  }));

test('events of one entity sent one after the other keep their order', () =>
  withDir(async (dir) => {
    const plane = await start(dir);
    const answers = [];
    for (let i = 0; i < 50; i++) answers.push(await plane.post([event(`a${i}`), event(`b${i}`)]));
    const places = answers.flatMap(({ body }) => body.accepted.map((one) => one.offset));
    assert.deepEqual(
      places,
      places.map((_, i) => i),
    );
    await plane.stop();
  }));

test('leases and unknown paths are not served, and metrics tell what was done', () =>
  withDir(async (dir) => {
    const plane = await start(dir);
    const lease = await fetch(`${plane.url}/v1/leases/a`, { method: 'PUT', body: '{}' });
    assert.equal(lease.status, 404);
    await plane.post([event('a'), event('a'), event('b')]);
    const text = await (await fetch(`${plane.url}/metrics`)).text();
    assert.match(text, /memplane_ingest_events_total\{[^}]*outcome="appended"[^}]*\} 2/);
    assert.match(text, /memplane_ingest_events_total\{[^}]*outcome="duplicate"[^}]*\} 1/);
    await plane.stop();
  }));
