import { exportCrdts } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import { exportLines } from '../domain/export.ts';
import type { CrdtStore } from '../domain/port.ts';

/** `GET /v1/export` */
export function exportCrdtsRoute(store: CrdtStore): Route {
  return route(exportCrdts, () => ({
    status: 200,
    stream: textLines(store),
    mediaType: 'application/x-ndjson',
    headers: { 'cache-control': 'no-store' },
  }));
}

async function* textLines(store: CrdtStore): AsyncGenerator<string> {
  try {
    for await (const line of exportLines(store)) yield `${JSON.stringify(line)}\n`;
  } catch (error) {
    // The answer has begun: what it breaks off for has no other way to its reader.
    const { code, message } = error as { code?: string; message?: string };
    yield `${JSON.stringify({ problem: { code: code ?? 'internal', detail: message } })}\n`;
  }
}
