const SPACE = /[ \t\n\v\f\r]/;
const ESCAPED: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' };

/**
 * The words of an inline command, one character a byte (Latin-1), as Redis splits them: at white
 * space, but for what is in double quotes, which know escapes, or in single ones.
 * @returns undefined where a quote is not closed, or something follows the closing one at once
 * Source: `sdssplitargs` of Redis.
 */
export function splitInline(whole: string): string[] | undefined {
  const end = whole.indexOf('\0');
  const line = end < 0 ? whole : whole.slice(0, end);
  const words: string[] = [];
  let at = 0;
  for (;;) {
    while (SPACE.test(line.charAt(at))) at++;
    if (at >= line.length) return words;
    let word = '';
    while (at < line.length && !' \t\n\r'.includes(line.charAt(at))) {
      const sign = line.charAt(at++);
      if (sign !== '"' && sign !== "'") {
        word += sign;
        continue;
      }
      const quoted = sign === '"' ? readDouble(line, at) : readSingle(line, at);
      if (quoted === undefined) return undefined;
      word += quoted.text;
      at = quoted.end;
      if (at < line.length && !SPACE.test(line.charAt(at))) return undefined;
      break;
    }
    words.push(word);
  }
}

interface Quoted {
  readonly text: string;
  /** Behind the closing quote. */
  readonly end: number;
}

function readDouble(line: string, start: number): Quoted | undefined {
  let text = '';
  for (let at = start; at < line.length; at++) {
    const sign = line.charAt(at);
    if (sign === '"') return { text, end: at + 1 };
    if (sign !== '\\' || at + 1 === line.length) {
      text += sign;
      continue;
    }
    const hex = /^x[0-9a-fA-F]{2}/.exec(line.slice(at + 1, at + 4));
    const next = line.charAt(at + 1);
    text += hex ? String.fromCharCode(Number(`0${hex[0]}`)) : (ESCAPED[next] ?? next);
    at += hex ? 3 : 1;
  }
  return undefined;
}

function readSingle(line: string, start: number): Quoted | undefined {
  let text = '';
  for (let at = start; at < line.length; at++) {
    const sign = line.charAt(at);
    if (sign === "'") return { text, end: at + 1 };
    const isEscaped = sign === '\\' && line.charAt(at + 1) === "'";
    if (isEscaped) at++;
    text += isEscaped ? "'" : sign;
  }
  return undefined;
}
