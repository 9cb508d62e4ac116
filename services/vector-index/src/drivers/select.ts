/**
 * The places of the `count` highest scores, in no particular order. Of equal scores at the edge
 * those that `before` puts first are taken.
 */
export function bestScores(
  scores: Float32Array,
  count: number,
  before: (a: number, b: number) => number,
): Uint32Array {
  const size = Math.min(count, scores.length);
  const heap = new Uint32Array(size);
  // The worst kept one is on top.
  const worse = (a: number, b: number): boolean => {
    const x = scores[a] ?? 0;
    const y = scores[b] ?? 0;
    return x < y || (x === y && before(a, b) > 0);
  };
  const sink = (start: number) => {
    const place = heap[start] ?? 0;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && worse(heap[child + 1] ?? 0, heap[child] ?? 0)) child++;
      if (!worse(heap[child] ?? 0, place)) break;
      heap[at] = heap[child] ?? 0;
      at = child;
    }
    heap[at] = place;
  };
  for (let i = 0; i < size; i++) heap[i] = i;
  for (let i = (size >>> 1) - 1; i >= 0; i--) sink(i);
  let floor = scores[heap[0] ?? 0] ?? 0;
  for (let i = size; i < scores.length; i++) {
    if ((scores[i] ?? 0) < floor || !worse(heap[0] ?? 0, i)) continue;
    heap[0] = i;
    sink(0);
    floor = scores[heap[0] ?? 0] ?? 0;
  }
  return heap;
}
