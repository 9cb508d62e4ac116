import { exportStrongRecords, type StrongRecordLine } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import type { StrongStore } from '../domain/strong/store.ts';

/** `GET /v1/strong-records`, where the store can list what it has. */
export function exportStrongRoutes(store: StrongStore | undefined): Route[] {
  if (store?.records === undefined) return [];
  return [
    route(exportStrongRecords, () => ({
      status: 200,
      stream: textLines(store),
      mediaType: 'application/x-ndjson',
      headers: { 'cache-control': 'no-store' },
    })),
  ];
}

async function* textLines(store: StrongStore): AsyncGenerator<string> {
  let count = 0;
  yield textOf({ format: 1, keyId: 0 });
  for await (const { key, value } of store.records?.() ?? []) {
    yield textOf({ key, value });
    count++;
  }
  yield textOf({ end: true, count });
}

function textOf(line: StrongRecordLine): string {
  return `${JSON.stringify(line)}\n`;
}
