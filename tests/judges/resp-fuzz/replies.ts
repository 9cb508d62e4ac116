/** One answer of a server: what kind it is, and its text or its number of parts. */
export interface Reply {
  readonly kind: string;
  readonly text: Buffer;
}

const CRLF = Buffer.from('\r\n');

/**
 * Takes a server's bytes apart, RESP2 and RESP3. Parts of arrays, sets and maps are read, and not
 * kept.
 * @throws Error where they are not well formed, or end in the middle of an answer
 */
export function readReplies(bytes: Buffer): Reply[] {
  const replies: Reply[] = [];
  let at = 0;
  while (at < bytes.length) {
    const [reply, end] = readReply(bytes, at);
    replies.push(reply);
    at = end;
  }
  return replies;
}

function readReply(bytes: Buffer, at: number): [Reply, number] {
  const kind = String.fromCharCode(bytes[at] ?? 0);
  const lineEnd = bytes.indexOf(CRLF, at);
  const shown = JSON.stringify(bytes.toString('latin1', at, at + 60));
  if (lineEnd < 0) throw new Error(`an answer without its end: ${shown}`);
  const line = bytes.subarray(at + 1, lineEnd);
  const next = lineEnd + 2;
  const number = Number(line.toString('latin1'));
  switch (kind) {
    case '+':
    case '-':
    case '_':
      return [{ kind, text: line }, next];
    case ':':
      if (!/^-?\d+$/.test(line.toString('latin1'))) throw new Error(`no number: ${shown}`);
      return [{ kind, text: line }, next];
    case '$': {
      if (number === -1) return [{ kind, text: line }, next];
      const end = next + number;
      if (!(number >= 0) || bytes.toString('latin1', end, end + 2) !== '\r\n') {
        throw new Error(`a text of another length: ${shown}`);
      }
      return [{ kind, text: bytes.subarray(next, end) }, end + 2];
    }
    case '*':
    case '~':
    case '%': {
      if (!(number >= 0)) throw new Error(`no length: ${shown}`);
      let end = next;
      for (let i = 0; i < number * (kind === '%' ? 2 : 1); i++) [, end] = readReply(bytes, end);
      return [{ kind, text: line }, end];
    }
    default:
      throw new Error(`no answer begins so: ${shown}`);
  }
}
