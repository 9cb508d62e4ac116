import { LIMITS } from '@memplane/contracts';

const BACKSLASH = 0x5c;

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
        at = closingQuote(text, at + 1);
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

/** The end of the text, where there is none. */
function closingQuote(text: string, from: number): number {
  let at = text.indexOf('"', from);
  while (at !== -1) {
    let slashes = 0;
    while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at;
    at = text.indexOf('"', at + 1);
  }
  return text.length;
}
