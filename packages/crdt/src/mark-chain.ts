import type { Mark } from './register-mark.ts';
import type { RegisterVersion } from './register-state.ts';

const LINK = 4;

/**
 * The marks of the incarnations that write a register, by the index of the incarnation: a chain of
 * links of four, of which hardly any register has more than one. In fields, 0 where there is none:
 * nearly all that is done with marks is to compare them with those of another state, and that takes
 * a third of the time that it takes with the elements of lists.
 */
export class MarkChain {
  mark0 = 0;
  mark1 = 0;
  mark2 = 0;
  mark3 = 0;
  standing0: RegisterVersion | undefined = undefined;
  standing1: RegisterVersion | undefined = undefined;
  standing2: RegisterVersion | undefined = undefined;
  standing3: RegisterVersion | undefined = undefined;
  next: MarkChain | undefined = undefined;

  static of(marks: Iterable<Mark>): MarkChain {
    const first = new MarkChain();
    let link = first;
    let place = 0;
    for (const mark of marks) {
      if (place === LINK) {
        link.next = new MarkChain();
        link = link.next;
        place = 0;
      }
      link.#set(place++, mark);
    }
    return first;
  }

  clone(): MarkChain {
    return MarkChain.of(this);
  }

  at(index: number): Mark {
    return this.#link(index).#get(index % LINK);
  }

  /** Raises one, where it is lower. Returns whether it was. */
  raise(index: number, mark: Mark): boolean {
    if (mark.mark <= this.at(index).mark) return false;
    this.#link(index).#set(index % LINK, mark);
    return true;
  }

  /** The same with one more between them. */
  with(index: number, mark: Mark): MarkChain {
    return MarkChain.of([...this].toSpliced(index, 0, mark));
  }

  *[Symbol.iterator](): Generator<Mark> {
    for (let link: MarkChain | undefined = this; link !== undefined; link = link.next) {
      for (let place = 0; place < LINK; place++) {
        const mark = link.#get(place);
        if (mark.mark > 0) yield mark;
      }
    }
  }

  #link(index: number): MarkChain {
    let link: MarkChain = this;
    for (let first = LINK; first <= index; first += LINK) link = link.next as MarkChain;
    return link;
  }

  #get(index: number): Mark {
    if (index === 0) return { mark: this.mark0, standing: this.standing0 };
    if (index === 1) return { mark: this.mark1, standing: this.standing1 };
    if (index === 2) return { mark: this.mark2, standing: this.standing2 };
    return { mark: this.mark3, standing: this.standing3 };
  }

  #set(index: number, { mark, standing }: Mark): void {
    if (index === 0) {
      this.mark0 = mark;
      this.standing0 = standing;
    } else if (index === 1) {
      this.mark1 = mark;
      this.standing1 = standing;
    } else if (index === 2) {
      this.mark2 = mark;
      this.standing2 = standing;
    } else {
      this.mark3 = mark;
      this.standing3 = standing;
    }
  }
}

/** Raises marks to those of the same incarnations that are higher. Returns whether any was. */
export function raiseMarks(target: MarkChain, source: MarkChain): boolean {
  let grew = false;
  let mine: MarkChain | undefined = target;
  let theirs: MarkChain | undefined = source;
  while (mine !== undefined && theirs !== undefined) {
    if (raiseLink(mine, theirs)) grew = true;
    mine = mine.next;
    theirs = theirs.next;
  }
  return grew;
}

function raiseLink(mine: MarkChain, theirs: MarkChain): boolean {
  let grew = false;
  if (theirs.mark0 > mine.mark0) {
    mine.mark0 = theirs.mark0;
    mine.standing0 = theirs.standing0;
    grew = true;
  }
  if (theirs.mark1 > mine.mark1) {
    mine.mark1 = theirs.mark1;
    mine.standing1 = theirs.standing1;
    grew = true;
  }
  if (theirs.mark2 > mine.mark2) {
    mine.mark2 = theirs.mark2;
    mine.standing2 = theirs.standing2;
    grew = true;
  }
  if (theirs.mark3 > mine.mark3) {
    mine.mark3 = theirs.mark3;
    mine.standing3 = theirs.standing3;
    grew = true;
  }
  return grew;
}
