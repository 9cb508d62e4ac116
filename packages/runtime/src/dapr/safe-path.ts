import { MemplaneError } from '@memplane/contracts';

/** What a segment of a path may hold as it is (RFC 3986, without what has a meaning in a path). */
const SEGMENT = /^[A-Za-z0-9._~:@!$&'()*+,;=-]+$/;

/**
 * The one form in which a path goes through a sidecar: no percent signs at all. A sidecar decodes a
 * path before it looks at its access list, and then again or not at all, so that `%2F` becomes a
 * slash and `%3F` an error. Names and entities need none: their rules allow only what stands for
 * itself.
 * @param path begins with a slash; what is encoded without need is decoded
 * @throws MemplaneError `invalid_request` for a path that would not arrive as it is
 */
export function safePath(path: string): string {
  const [first, ...segments] = path.split('/');
  if (first !== '' || segments.length === 0) throw unsafe(path);
  return segments.map((segment) => `/${safeSegment(segment, path)}`).join('');
}

function safeSegment(segment: string, path: string): string {
  let text: string;
  try {
    text = decodeURIComponent(segment);
  } catch {
    throw unsafe(path);
  }
  if (text === '.' || text === '..' || !SEGMENT.test(text)) throw unsafe(path);
  return text;
}

function unsafe(path: string): MemplaneError {
  return new MemplaneError('invalid_request', `This path can not go through a sidecar: ${path}`, {
    field: 'path',
  });
}
