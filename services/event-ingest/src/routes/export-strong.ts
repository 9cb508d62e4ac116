import { exportStrongRecords, MemplaneError, type StrongRecordLine } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import type { StrongStore } from '@memplane/runtime/strong';
import { isKeyRecord } from '../domain/sealing/key-record.ts';

/** `GET /v1/strong-records`, where the store can list what it has. */
export function exportStrongRoutes(store: StrongStore | undefined, isSealing: boolean): Route[] {
  if (store?.records === undefined) return [];
  return [
    route(exportStrongRecords, () => {
      if (isSealing) throw noBackup();
      return {
        status: 200,
        stream: textLines(store),
        mediaType: 'application/x-ndjson',
        headers: { 'cache-control': 'no-store' },
      };
    }),
  ];
}

/** The events of a backup would be open, and outlive their erasure. */
function noBackup(): MemplaneError {
  return new MemplaneError(
    'not_implemented',
    'A plane that seals is not backed up over HTTP yet. A copy of its folder keeps what is erased later.',
  );
}

async function* textLines(store: StrongStore): AsyncGenerator<string> {
  let count = 0;
  yield textOf({ format: 1, keyId: 0 });
  for await (const { key, value } of store.records?.() ?? []) {
    // A copy of a key would outlive its erasure.
    if (isKeyRecord(key)) continue;
    yield textOf({ key, value });
    count++;
  }
  yield textOf({ end: true, count });
}

function textOf(line: StrongRecordLine): string {
  return `${JSON.stringify(line)}\n`;
}
