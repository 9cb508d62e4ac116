import { LIMITS } from '@memplane/contracts';
import { endOfString } from '@memplane/runtime/json-body';

/**
 * Where the object that begins at `from` ends, as far as its brackets tell.
 * @param depth how deep it is nested; 1 is outermost
 * @returns -1 where it has no end, or is nested too deep
 */
export function objectEnd(text: string, from: number, depth: number): number {
  let nested = depth - 1;
  for (let at = from; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22:
        at = endOfString(text, at + 1);
        break;
      case 0x7b:
      case 0x5b:
        if (++nested > LIMITS.json_depth_max) return -1;
        break;
      case 0x7d:
      case 0x5d:
        if (--nested < depth) return at + 1;
        break;
    }
  }
  return -1;
}
