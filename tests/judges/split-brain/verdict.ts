import type { Line } from './holders.ts';

export interface Verdict {
  readonly granted: number;
  readonly accepted: number;
  /** Tried with a token when a higher one had been answered already. */
  readonly late: number;
  readonly wrong: readonly string[];
}

/**
 * Judges what holders were answered, and the tokens of the entity's events in the order of its
 * history: none may be lower than one before it, and nothing that was sent after a higher token had
 * been answered may have got in.
 */
export function judgeTokens(lines: readonly Line[], history: readonly number[]): Verdict {
  const wrong: string[] = [];
  const grants = lines.filter((line) => line.kind === 'granted').sort(byTime);
  const tokens = new Set(grants.map(({ token }) => token));
  if (tokens.size !== grants.length) wrong.push('a token was given out twice');
  let highest = 0;
  for (const [i, token] of history.entries()) {
    if (token < highest) wrong.push(`event ${i + 1} has token ${token}, after ${highest}`);
    highest = Math.max(highest, token);
  }
  let [accepted, late] = [0, 0];
  let next = 0;
  let answered = 0;
  const tries = lines.filter((line) => line.kind !== 'granted');
  for (const { kind, token, sentNs } of tries.sort((a, b) => a.sentNs - b.sentNs)) {
    for (let grant = grants[next]; grant && grant.atNs < sentNs; grant = grants[++next]) {
      answered = Math.max(answered, grant.token);
    }
    if (kind === 'accepted') accepted++;
    if (token >= answered) continue;
    late++;
    if (kind === 'accepted') wrong.push(`token ${token} got in, sent after ${answered}`);
  }
  if (accepted > history.length) wrong.push(`${accepted} accepted, ${history.length} there`);
  return { granted: grants.length, accepted, late, wrong };
}

function byTime(a: Line, b: Line): number {
  return a.atNs - b.atNs;
}
