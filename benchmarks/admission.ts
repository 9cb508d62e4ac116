/**
 * What admission control costs at a normal load: the CPU time of event-ingest's thread for an append,
 * with it and without, at the same steady rate, in turn.
 *
 *   node benchmarks/admission.ts [rounds] [ms per run]
 *
 * 64 connections append one event each time, 1,000 a second in all. The load comes from a thread of
 * its own, and only the thread that serves is measured: its CPU time says the same on a busy machine.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createEventIngest, readIngestConfig } from '@memplane/event-ingest';
import { openEmbeddedLog } from '@memplane/event-log';
import { LoadThread } from './lib/load-thread.ts';
import { interleave, ratio } from './lib/rounds.ts';
import { atMost, emitRow, SHORT } from './lib/row.ts';

const ROUNDS = Number(process.argv[2] ?? (SHORT ? 2 : 15));
const RUN_MS = Number(process.argv[3] ?? (SHORT ? 500 : 3_000));
const CONNECTIONS = 64;
const EVENTS_PER_SECOND = 1_000;

const dir = await mkdtemp(path.join(tmpdir(), 'memplane-bench-admission-'));
const load = new LoadThread({ events_per_request: 1, entities: 10_000 });

/** One service on a log of its own. */
async function open(name: string, hasAdmission: boolean) {
  const log = await openEmbeddedLog({ dir: path.join(dir, name) });
  const config = readIngestConfig({
    ...{ MEMPLANE_EVENT_INGEST_PORT: '0', MEMPLANE_LOG_LEVEL: 'warn' },
    MEMPLANE_ADMISSION: String(hasAdmission),
  });
  const service = await createEventIngest(config, { logWriter: log.writer });
  await service.start();
  return {
    /** @returns µs of this thread's CPU time for a request */
    run: async () => {
      const before = process.threadCpuUsage();
      const { requests } = await load.run({
        ...{ port: service.port, path: '/v1/events', connections: CONNECTIONS },
        ...{ durationMs: RUN_MS, events_per_second: EVENTS_PER_SECOND },
      });
      const { user, system } = process.threadCpuUsage(before);
      return (user + system) / requests;
    },
    close: async () => {
      await service.drain();
      await service.stop();
      await log.writer.close();
    },
  };
}

try {
  const [limited, unlimited] = [await open('with', true), await open('without', false)];
  const [ours, without] = await interleave(
    [
      { name: 'with admission control', run: limited.run },
      { name: 'without', run: unlimited.run },
    ],
    ROUNDS,
  );
  await load.end();
  await Promise.all([limited.close(), unlimited.close()]);
  if (ours && without) {
    const price = ratio('', ours, without);
    const note = `${ours.median.toFixed(0)} µs, without ${without.median.toFixed(0)} µs of CPU time`;
    console.log(`${note}; ratio ${price.median.toFixed(3)} ± ${(price.spread * 100).toFixed(1)} %`);
    emitRow('admission control at a normal load', atMost(1.03), price, {
      against: 'the same without it',
      note: `${EVENTS_PER_SECOND} single appends a second: ${note}`,
    });
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}
