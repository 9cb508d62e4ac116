/** As events are written before their zone is known: see `writeEvent`. */
const EVENTUAL = ',"zone":"eventual",';

/**
 * The text of a strong event. What is replaced stands before everything in which a sender could
 * write the same: quotes within texts are escaped.
 * @param last of its batch
 */
export function strongText(text: string, sequence: number, last: number): string {
  const at = text.indexOf(EVENTUAL);
  if (at < 0) throw new Error('an event without its zone');
  const batch = last === sequence ? '' : `"batchend":${last},`;
  const stamped = `,"zone":"strong","sequence":${sequence},${batch}`;
  return text.slice(0, at) + stamped + text.slice(at + EVENTUAL.length);
}
