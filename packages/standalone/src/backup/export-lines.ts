import { MemplaneError, type ServiceName } from '@memplane/contracts';
import { linesOf } from '../operate/ndjson.ts';
import type { PlaneHttp } from '../operate/plane-http.ts';

const LINE_FEED = Buffer.from('\n');

/**
 * The lines of an export of a service, as they come.
 * @throws MemplaneError where it tells why it breaks off, or ends without saying that it does
 */
export async function* exportedLines(
  plane: PlaneHttp,
  service: ServiceName,
  path: string,
): AsyncGenerator<Buffer> {
  const { body } = await plane.open(service, path);
  let last: Buffer | undefined;
  for await (const line of linesOf(body)) {
    if (last !== undefined) yield Buffer.concat([last, LINE_FEED]);
    last = line;
  }
  const end = (last === undefined ? {} : JSON.parse(last.toString('utf8'))) as ExportEnd;
  if (end.problem !== undefined) {
    const { code, detail } = end.problem;
    throw new MemplaneError('storage_damaged', `${service} breaks off: ${code}: ${detail}`);
  }
  if (last === undefined || end.end !== true) {
    throw new MemplaneError('dependency_unavailable', `${service} broke off its export.`);
  }
  yield Buffer.concat([last, LINE_FEED]);
}

interface ExportEnd {
  readonly end?: true;
  readonly problem?: { readonly code: string; readonly detail: string };
}
