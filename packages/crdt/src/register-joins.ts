import { cloneContext, containsDot, joinContextInto } from './context.ts';
import { compareDots, type Dot, hasDot, type Incarnation } from './dot.ts';
import {
  findIncarnation,
  LAST_MAX,
  type LooseRegister,
  lastOf,
  markOf,
  type RegisterState,
  type RegisterVersion,
  setRegister,
} from './register-state.ts';

/** Joins `source` into `target` in place. Returns whether `target` grew. */
export function joinRegisterInto(target: RegisterState, source: RegisterState): boolean {
  // No loose state shares its empty list with one that is not.
  const isSame = target.incarnations === source.incarnations && target.loose === undefined;
  return isSame ? joinMarks(target, source) : joinUnlike(target, source);
}

function joinUnlike(target: RegisterState, source: RegisterState): boolean {
  if (target.loose !== undefined) return joinAny(target, source);
  if (source.loose !== undefined) return joinLoose(target, source.loose) ?? joinAny(target, source);
  if (knowsSame(target.incarnations, source.incarnations)) return joinMarks(target, source);
  return joinOthers(target, source);
}

function knowsSame(mine: readonly Incarnation[], theirs: readonly Incarnation[]): boolean {
  return mine.length === theirs.length && mine.every((it, i) => it === theirs[i]);
}

/** States of the same incarnations: of each the higher mark, with its version. */
function joinMarks(target: RegisterState, source: RegisterState): boolean {
  const { marks, standing } = target;
  const theirs = source.marks;
  let grew = false;
  for (let i = 0; i < theirs.length; i++) {
    const mark = theirs[i] as number;
    if (mark <= (marks[i] as number)) continue;
    marks[i] = mark;
    standing[i] = source.standing[i];
    grew = true;
  }
  return grew;
}

/** States of other incarnations. Where this one has come to know those of the other, both share a list. */
function joinOthers(target: RegisterState, source: RegisterState): boolean {
  let grew = false;
  for (const [i, incarnation] of source.incarnations.entries()) {
    grew = raiseMark(target, incarnation, source.marks[i] ?? 0, source.standing[i]) || grew;
  }
  if (target.incarnations.length === source.incarnations.length) {
    target.incarnations = source.incarnations;
  }
  return grew;
}

function raiseMark(
  target: RegisterState,
  incarnation: Incarnation,
  mark: number,
  version: RegisterVersion | undefined,
): boolean {
  const at = findIncarnation(target.incarnations, incarnation);
  if (at < 0) {
    target.incarnations = target.incarnations.toSpliced(~at, 0, incarnation);
    target.marks.splice(~at, 0, mark);
    target.standing.splice(~at, 0, version);
    return true;
  }
  if (mark <= (target.marks[at] ?? 0)) return false;
  target.marks[at] = mark;
  target.standing[at] = version;
  return true;
}

/**
 * A delta into a state without gaps, at the cost of the delta.
 * @returns undefined where it leaves a gap, or two versions of one incarnation
 */
function joinLoose(target: RegisterState, source: LooseRegister): boolean | undefined {
  const raised: Parameters<typeof raiseMark>[] = [];
  let next = 0;
  for (const incarnation of [...source.context.keys()].sort()) {
    const [from = 0, to = 0, ...more] = source.context.get(incarnation) ?? [];
    const version = source.versions[next];
    const stands = version?.dot.incarnation === incarnation;
    if (stands) next++;
    const at = findIncarnation(target.incarnations, incarnation);
    const mine = at < 0 ? undefined : target.marks[at];
    const last = lastOf(mine);
    // What is behind the last one that stands here has to have seen that.
    const begin = mine === undefined || mine % 2 === 1 ? last + 1 : last;
    if (more.length > 0 || from > begin || to > LAST_MAX) return undefined;
    if (stands && version.dot.seq !== to) return undefined;
    raised.push([target, incarnation, markOf(to, stands), stands ? version : undefined]);
  }
  if (next < source.versions.length) return undefined;
  let grew = false;
  for (const raise of raised) grew = raiseMark(...raise) || grew;
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
