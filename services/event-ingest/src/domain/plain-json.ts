import { LIMITS } from '@memplane/contracts';

/** Thrown where a text is not, or not for certain, what `JSON.stringify` would write. */
export const DOUBT = new Error('not plain JSON');

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Whole numbers of so many digits are written as they are read; others are looked at. */
const SAFE_DIGITS = 15;
const ZERO = 0x30;
const NINE = 0x39;

/**
 * Walks over JSON that stands as `JSON.stringify` writes it, which is how most of it comes, and tells
 * its canonical form (RFC 8785) on the way: its parts in another order, at most. So neither the
 * values nor their texts need to be made. Whatever else it meets is a {@link DOUBT}, for `JSON.parse`
 * to settle: white space, needless escapes, other ways to write a number, keys that repeat, that
 * `JSON.parse` would put first (`10`) or that are escaped, and what is no JSON at all.
 */
export class PlainJson {
  readonly text: string;
  at = 0;
  /** Whether the text that was read last holds escapes. */
  isEscaped = false;

  /** @param text well-formed, as decoded from UTF-8 */
  constructor(text: string) {
    this.text = text;
  }

  /** Moves past the unit, if it is there. */
  take(unit: number): boolean {
    if (this.text.charCodeAt(this.at) !== unit) return false;
    this.at++;
    return true;
  }

  expect(unit: number): void {
    if (!this.take(unit)) throw DOUBT;
  }

  /** Moves past a member's name and its colon. @returns the name */
  key(): string {
    const from = this.at + 1;
    this.#string();
    const key = this.text.slice(from, this.at - 1);
    const first = key.charCodeAt(0);
    const isFirst = first >= ZERO && first <= NINE;
    if (this.isEscaped || isFirst || key === '__proto__') throw DOUBT;
    this.expect(COLON);
    return key;
  }

  /** Moves past a text. @returns how it stands, quotes included; see {@link isEscaped} */
  string(): string {
    const from = this.at;
    this.#string();
    return this.text.slice(from, this.at);
  }

  /**
   * Moves past any value.
   * @param depth how deep an object or array would be nested here; 1 is outermost
   * @returns its canonical form; '' where that is how it stands
   */
  value(depth: number): string {
    const unit = this.text.charCodeAt(this.at);
    if (unit === QUOTE) this.#string();
    else if (unit === OPEN_BRACE) return this.#object(depth);
    else if (unit === OPEN_BRACKET) return this.#array(depth);
    else if (unit === 0x2d || (unit >= ZERO && unit <= NINE)) this.#number();
    else this.#literal();
    return '';
  }

  #object(depth: number): string {
    if (depth > LIMITS.json_depth_max) throw DOUBT;
    this.at++;
    if (this.take(CLOSE_BRACE)) return '';
    const members: Member[] = [];
    let isCanonical = true;
    do {
      const from = this.at;
      const key = this.key();
      const valueAt = this.at;
      const canonical = this.value(depth + 1);
      const previous = members.at(-1);
      if (canonical !== '' || (previous !== undefined && previous.key >= key)) isCanonical = false;
      members.push({ key, from, valueAt, to: this.at, canonical });
    } while (this.take(COMMA));
    this.expect(CLOSE_BRACE);
    return isCanonical ? '' : this.#sorted(members);
  }

  #sorted(members: Member[]): string {
    members.sort((a, b) => (a.key < b.key ? -1 : 1));
    let text = '';
    for (let i = 0; i < members.length; i++) {
      const { key, from, valueAt, to, canonical } = members[i] as Member;
      if (i > 0 && members[i - 1]?.key === key) throw DOUBT;
      text += i === 0 ? '{' : ',';
      if (canonical === '') text += this.text.slice(from, to);
      else text += this.text.slice(from, valueAt) + canonical;
    }
    return `${text}}`;
  }

  #array(depth: number): string {
    if (depth > LIMITS.json_depth_max) throw DOUBT;
    this.at++;
    if (this.take(CLOSE_BRACKET)) return '';
    // What is canonical up to `done`; '' while all of it stands as it should.
    let text = '';
    let done = this.at - 1;
    do {
      const from = this.at;
      const canonical = this.value(depth + 1);
      if (canonical === '') continue;
      text += this.text.slice(done, from) + canonical;
      done = this.at;
    } while (this.take(COMMA));
    this.expect(CLOSE_BRACKET);
    return text && text + this.text.slice(done, this.at);
  }

  #string(): void {
    const { text } = this;
    const from = this.at;
    if (text.charCodeAt(from) !== QUOTE) throw DOUBT;
    this.isEscaped = false;
    let at = from + 1;
    for (;;) {
      const unit = text.charCodeAt(at);
      if (unit === QUOTE) break;
      // Beyond the end it is NaN.
      if (!(unit >= 0x20)) throw DOUBT;
      if (unit === BACKSLASH) {
        this.isEscaped = true;
        at++;
      }
      at++;
    }
    this.at = at + 1;
    if (this.isEscaped && !isPlainText(text.slice(from, this.at))) throw DOUBT;
  }

  #number(): void {
    const { text } = this;
    const from = this.at;
    let at = from;
    let unit = text.charCodeAt(at);
    const first = unit;
    while (unit >= ZERO && unit <= NINE) unit = text.charCodeAt(++at);
    const isWhole = at > from && unit !== 0x2e && (unit | 0x20) !== 0x65;
    this.at = at;
    if (isWhole && at - from <= SAFE_DIGITS && (first !== ZERO || at - from === 1)) return;
    while (isOfNumber(unit)) unit = text.charCodeAt(++at);
    this.at = at;
    const written = text.slice(from, at);
    if (String(Number(written)) !== written) throw DOUBT;
  }

  #literal(): void {
    for (const literal of ['true', 'false', 'null']) {
      if (this.text.startsWith(literal, this.at)) {
        this.at += literal.length;
        return;
      }
    }
    throw DOUBT;
  }
}

interface Member {
  readonly key: string;
  readonly from: number;
  readonly valueAt: number;
  readonly to: number;
  readonly canonical: string;
}

/** Digits and what else can stand in a number. */
function isOfNumber(unit: number): boolean {
  const isDigit = unit >= ZERO && unit <= NINE;
  return isDigit || unit === 0x2d || unit === 0x2b || unit === 0x2e || (unit | 0x20) === 0x65;
}

/** Whether a text with escapes stands as `JSON.stringify` writes it, and can be stored. */
function isPlainText(written: string): boolean {
  try {
    const text = JSON.parse(written) as string;
    return text.isWellFormed() && JSON.stringify(text) === written;
  } catch {
    return false;
  }
}
