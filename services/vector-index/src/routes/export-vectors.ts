import { type ComputedVectorLine, exportComputedVectors } from '@memplane/contracts';
import { type Route, route } from '@memplane/runtime';
import type { ComputedVectors, StoredVector } from '../domain/ports.ts';

const PAGE_VECTORS = 256;

/** `GET /v1/computed-vectors` @param computed undefined where there never were any */
export function exportVectorsRoute(computed: ComputedVectors | undefined): Route {
  return route(exportComputedVectors, () => ({
    status: 200,
    stream: textLines(computed),
    mediaType: 'application/x-ndjson',
    headers: { 'cache-control': 'no-store' },
  }));
}

async function* textLines(computed: ComputedVectors | undefined): AsyncGenerator<string> {
  let count = 0;
  let after: StoredVector | undefined;
  yield textOf({ format: 1, keyId: 0 });
  while (computed !== undefined) {
    const page = computed.page(after, PAGE_VECTORS);
    yield page.map(lineOf).map(textOf).join('');
    count += page.length;
    if (page.length < PAGE_VECTORS) break;
    after = page.at(-1);
  }
  yield textOf({ end: true, count });
}

function lineOf({ model, textHash, vector }: StoredVector): ComputedVectorLine {
  return {
    model,
    textHash: Buffer.from(textHash).toString('base64url'),
    vector: Buffer.from(vector).toString('base64'),
  };
}

function textOf(line: ComputedVectorLine): string {
  return `${JSON.stringify(line)}\n`;
}
