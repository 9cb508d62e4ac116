import { cloneContext, containsDot, joinContextInto } from './context.ts';
import { compareDots, compareText, type Dot, hasDot, type Incarnation } from './dot.ts';
import { MarkChain, raiseMarks } from './mark-chain.ts';
import { LAST_MAX, lastOf, type Mark, markOf } from './register-mark.ts';
import {
  findIncarnation,
  type LooseRegister,
  type RegisterState,
  setRegister,
} from './register-state.ts';

/** Joins `source` into `target` in place. Returns whether `target` grew. */
export function joinRegisterInto(target: RegisterState, source: RegisterState): boolean {
  // No loose state shares its empty list with one that is not.
  const isSame = target.incarnations === source.incarnations && target.loose === undefined;
  return isSame ? raiseMarks(target.marks, source.marks) : joinUnlike(target, source);
}

function joinUnlike(target: RegisterState, source: RegisterState): boolean {
  if (target.loose !== undefined) return joinAny(target, source);
  if (source.loose !== undefined) return joinLoose(target, source.loose) ?? joinAny(target, source);
  const isSame = knowsSame(target.incarnations, source.incarnations);
  return isSame ? raiseMarks(target.marks, source.marks) : joinOthers(target, source);
}

function knowsSame(mine: readonly Incarnation[], theirs: readonly Incarnation[]): boolean {
  return mine.length === theirs.length && mine.every((it, i) => it === theirs[i]);
}

/**
 * States of other incarnations: of each the higher mark. Where this one has come to know just those
 * of the other, both share a list.
 */
function joinOthers(target: RegisterState, source: RegisterState): boolean {
  const all = markOfEach(target);
  let grew = false;
  for (const [incarnation, mark] of markOfEach(source)) {
    if (mark.mark <= (all.get(incarnation)?.mark ?? 0)) continue;
    all.set(incarnation, mark);
    grew = true;
  }
  if (!grew) return false;
  const isCovered = all.size === source.incarnations.length;
  target.incarnations = isCovered ? source.incarnations : [...all.keys()].sort(compareText);
  target.marks = MarkChain.of(target.incarnations.map((it) => all.get(it) as Mark));
  return true;
}

function markOfEach({ incarnations, marks }: RegisterState): Map<Incarnation, Mark> {
  const all = new Map<Incarnation, Mark>();
  for (const mark of marks) all.set(incarnations[all.size] as Incarnation, mark);
  return all;
}

function raiseMark(target: RegisterState, incarnation: Incarnation, mark: Mark): boolean {
  const at = findIncarnation(target.incarnations, incarnation);
  if (at >= 0) return target.marks.raise(at, mark);
  target.incarnations = target.incarnations.toSpliced(~at, 0, incarnation);
  target.marks = target.marks.with(~at, mark);
  return true;
}

/**
 * A delta into a state without gaps, at the cost of the delta.
 * @returns undefined where it leaves a gap, or two versions of one incarnation
 */
function joinLoose(target: RegisterState, source: LooseRegister): boolean | undefined {
  const raised: [Incarnation, Mark][] = [];
  let next = 0;
  for (const incarnation of [...source.context.keys()].sort()) {
    const [from = 0, to = 0, ...more] = source.context.get(incarnation) ?? [];
    const version = source.versions[next];
    const stands = version?.dot.incarnation === incarnation;
    if (stands) next++;
    const at = findIncarnation(target.incarnations, incarnation);
    const mine = at < 0 ? undefined : target.marks.at(at);
    const last = mine === undefined ? 0 : lastOf(mine);
    // What is behind the last one that stands here has to have seen that.
    const begin = mine?.standing === undefined ? last + 1 : last;
    if (more.length > 0 || from > begin || to > LAST_MAX) return undefined;
    if (stands && version.dot.seq !== to) return undefined;
    raised.push([incarnation, markOf(to, stands ? version : undefined)]);
  }
  if (next < source.versions.length) return undefined;
  let grew = false;
  for (const [incarnation, mark] of raised) grew = raiseMark(target, incarnation, mark) || grew;
  return grew;
}

/** Any two states: a version stands where it stands in both, or one has never seen it. */
function joinAny(target: RegisterState, source: RegisterState): boolean {
  const versions = target.versions;
  const context = cloneContext(target.context);
  const seen = source.context;
  const theirs = source.versions.map(({ dot }) => dot);
  const isKept = ({ dot }: { dot: Dot }) => hasDot(theirs, dot) || !containsDot(seen, dot);
  const kept = versions.filter(isKept);
  const fresh = source.versions.filter(({ dot }) => !containsDot(context, dot));
  const grew = joinContextInto(context, seen) || kept.length < versions.length;
  if (!grew) return false;
  const joined = [...kept, ...fresh].sort((a, b) => compareDots(a.dot, b.dot));
  setRegister(target, { versions: joined, context });
  return true;
}
