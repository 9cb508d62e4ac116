/** A fenced block of a page, and what the comment before it says of its run. */
export interface Block {
  readonly page: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly code: string;
  readonly run: Run;
}

export type Run =
  | { readonly how: 'here' }
  /** `<!-- run by tests/... -->`: before a block, or before all of a page's blocks. */
  | { readonly how: 'elsewhere'; readonly test: string }
  /** `<!-- not run: why -->` */
  | { readonly how: 'not'; readonly why: string };

const FENCE = /^```(.*)$/;
const MARK = /^<!-- (?:run by (?<test>\S+)|not run: (?<why>.+)) -->$/;
/** `<!-- all blocks run by tests/... -->` */
const PAGE_MARK = /^<!-- all blocks run by (\S+) -->$/m;

/** The fenced blocks of a page in Markdown. @throws Error for a fence that is not closed. */
export function blocksOf(page: string, text: string): Block[] {
  const blocks: Block[] = [];
  const [, everyTest] = PAGE_MARK.exec(text) ?? [];
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i++) {
    const [, language] = FENCE.exec(lines[i] ?? '') ?? [];
    if (language === undefined) continue;
    const end = lines.indexOf('```', i + 1);
    if (end < 0) throw new Error(`${page}:${i + 1}: the block has no end`);
    const code = `${lines.slice(i + 1, end).join('\n')}\n`;
    const run = runOf(lines.slice(0, i), everyTest);
    blocks.push({ page, line: i + 1, language, code, run });
    i = end;
  }
  return blocks;
}

function runOf(before: readonly string[], everyTest: string | undefined): Run {
  const line = before.findLast((text) => text.trim() !== '') ?? '';
  const { test, why } = MARK.exec(line)?.groups ?? {};
  if (why !== undefined) return { how: 'not', why };
  const elsewhere = test ?? everyTest;
  return elsewhere === undefined ? { how: 'here' } : { how: 'elsewhere', test: elsewhere };
}
