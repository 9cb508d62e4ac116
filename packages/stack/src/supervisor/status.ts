import { stackPlans } from './plans.ts';
import { isAlive, memoryMibOf, readRecord } from './record.ts';
import type { StackSettings } from './settings.ts';

export interface StatusRow {
  readonly part: string;
  readonly pid: number;
  readonly ports: readonly number[];
  /** `ok`, `gone`, or what its check says. */
  readonly health: string;
  readonly version: string;
  readonly memoryMib: number;
}

/** One row for each server that was started. */
export async function stackStatus(settings: StackSettings): Promise<StatusRow[]> {
  const record = readRecord(settings.dir);
  if (record.length === 0) return [];
  const plans = (await stackPlans(settings)).stages.flat();
  return Promise.all(
    record.map(async (server): Promise<StatusRow> => {
      const alive = isAlive(server);
      const plan = plans.find((each) => each.name === server.name);
      const health = alive ? await healthOf(() => plan?.check()) : 'gone';
      return {
        part: server.name,
        pid: server.pid,
        ports: server.ports,
        health,
        version: server.version,
        memoryMib: alive ? memoryMibOf(server.pid) : 0,
      };
    }),
  );
}

async function healthOf(check: () => Promise<void> | undefined): Promise<string> {
  try {
    await check();
    return 'ok';
  } catch (error) {
    return error instanceof Error ? error.message.slice(0, 60) : String(error);
  }
}

/** The rows under a heading, in columns. */
export function statusTable(rows: readonly StatusRow[]): string {
  const cells = [
    ['PART', 'PID', 'PORT', 'HEALTH', 'VERSION', 'MEMORY'],
    ...rows.map((row) => [
      ...[row.part, String(row.pid), String(row.ports[0] ?? ''), row.health, row.version],
      `${row.memoryMib} MiB`,
    ]),
  ];
  const widths = cells[0]?.map((_, at) => Math.max(...cells.map((row) => row[at]?.length ?? 0)));
  return cells
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths?.[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
