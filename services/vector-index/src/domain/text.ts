import { stemmer } from 'stemmer';
import { eng } from 'stopword';

const WORD = /[\p{L}\p{N}]+/gu;
const TERM_CHARS_MAX = 64;
const STEMS_CACHED_MAX = 50_000;
const STOP_WORDS: ReadonlySet<string> = new Set(eng);
const ASCII_WORD = /^[a-z]+$/;

let stems = new Map<string, string>();

/** Porter's stem of an English word; other words and numbers stay as they are. */
function stem(word: string): string {
  const known = stems.get(word);
  if (known !== undefined) return known;
  const result = ASCII_WORD.test(word) ? stemmer(word) : word;
  if (stems.size >= STEMS_CACHED_MAX) stems = new Map();
  stems.set(word, result);
  return result;
}

/** The terms of a text, in order, with repetitions: NFKC, lower case, no stop words, stemmed. */
export function termsOf(text: string): string[] {
  const terms: string[] = [];
  for (const word of text.normalize('NFKC').toLowerCase().match(WORD) ?? []) {
    if (STOP_WORDS.has(word)) continue;
    terms.push(stem(word.length > TERM_CHARS_MAX ? word.slice(0, TERM_CHARS_MAX) : word));
  }
  return terms;
}

/** How often each term occurs. */
export function frequencies(terms: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const term of terms) counts.set(term, (counts.get(term) ?? 0) + 1);
  return counts;
}
