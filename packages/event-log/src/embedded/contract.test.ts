import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describeLogContract, type LogUnderTest } from '../contract.ts';
import { openEmbeddedLog, openEmbeddedReader } from './open.ts';

async function openIn(
  dir: string,
  partitions: number,
  segmentBytes: number,
): Promise<LogUnderTest> {
  const { writer, admin, shared } = await openEmbeddedLog({ dir, partitions, segmentBytes });
  return {
    writer,
    admin,
    openReader: () => openEmbeddedReader({ dir, shared }),
    async reopen() {
      await writer.close();
      return openIn(dir, partitions, segmentBytes);
    },
    async dispose() {
      await writer.close();
      rmSync(dir, { recursive: true });
    },
  };
}

function newDir(): string {
  return mkdtempSync(path.join(tmpdir(), 'memplane-log-'));
}

describeLogContract('embedded', {
  create: (partitions) => openIn(newDir(), partitions, 64 * 1024 * 1024),
});

describeLogContract('embedded, tiny segments', {
  create: (partitions) => openIn(newDir(), partitions, 4096),
});

describeLogContract('embedded, read without shared memory', {
  async create(partitions) {
    const dir = newDir();
    const open = async (): Promise<LogUnderTest> => {
      const log = await openIn(dir, partitions, 16 * 1024);
      return {
        ...log,
        openReader: () => openEmbeddedReader({ dir }),
        reopen: async () => {
          await log.writer.close();
          return open();
        },
      };
    };
    return open();
  },
  runs: 10,
});
